"""The calls that other tools time: a script of pyperf's, and a test of pytest-benchmark's.

``python rival_calls.py`` takes the options of a pyperf script; ``pytest rival_calls.py`` those of
pytest. Both find calls as a worker of the engine makes them: on the same core, on the same inputs,
which begin at a cache line.
"""

import functools

import pytest

from convgrad.kernels import Case, registry
from convgrad.suites.machine import environment
from convgrad.suites.measure.checks import SEED
from convgrad.suites.workers.places import aligned_copy

CALLS = {
    "numpy": Case.of("fit_linear", "float64", samples=200, features=64, iterations=1000),
    "numba_parallel": Case.of("convolve", "float32", signal=(40_000,), taps=(1025,)),
    "numba_loops": Case.of("convolve", "float64", signal=(2_000,), taps=(513,)),
}
"""Case by kernel; a call takes some milliseconds, and allocates little beside its result.

What allocates megabytes a call depends on whether glibc keeps what was freed or gives it back to
the system; what allocates some kilobytes and reads them ten thousand times, as numpy.convolve does,
on where they come to lie; and what fills a cache of the second level or more, on which pages it is
given. The engine deals all of these anew or the same to all; the rivals are left alone, as they are
used, and would differ from themselves.
"""

VALUES, LOOPS = 16, 8


def prepared(name):
    """Pin this process as a worker is, and return the call without arguments."""
    environment.pin(1)
    arguments = CALLS[name].inputs(SEED)
    arrays = [aligned_copy(array) for array in arguments.arrays]
    return functools.partial(
        registry.get(CALLS[name].operation, name).function, *arrays, **arguments.options
    )


@pytest.mark.parametrize("name", CALLS)
def test_call(benchmark, name):
    """Have pytest-benchmark time a call."""
    call = prepared(name)
    benchmark.pedantic(call, rounds=VALUES, iterations=LOOPS, warmup_rounds=1)


def _main():
    import pyperf

    runner = pyperf.Runner(processes=1, values=VALUES, loops=LOOPS)
    for name in CALLS:
        runner.bench_func(name, prepared(name))


if __name__ == "__main__":
    _main()
