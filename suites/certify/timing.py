"""Claims about times: of equal kernels, of known durations, and of the same call timed elsewhere.

What is timed is real, on this machine, by the engine that a run uses.
"""

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np

from convgrad.kernels import Case, registry
from convgrad.results.summary import cells
from convgrad.suites.certify import compiling, harness, rivals
from convgrad.suites.certify.claims import Claim, Outcome
from convgrad.suites.certify.planted_timing import BUSY, EQUALS
from convgrad.suites.machine import environment
from convgrad.suites.measure.block import Block

_PLANTED = ["convgrad.suites.certify.planted_timing"]
_FILTER = partial(Case.of, "convolve", "float64", taps=(3,), mode="valid")


def layout(budget):
    """Spread of the medians of eight processes that run one kernel, over sizes and threads.

    Luck with addresses is dealt with every sample, so that many short ones are taken, though of
    several calls each: a process that fits two into one where others fit one is another matter.
    Processes take turns, and each time is taken relative to its round, as in a verdict: a machine
    that is slower for some seconds is so to all of them.
    """
    processes = 3 if budget.quick else 8
    settings = replace(harness.PATIENT, processes=processes, looks=1, sample_s=0.005)
    sizes = {"16 kB": 2_000, "128 kB": 16_000, "1 MB": 125_000, "16 MB": 2_000_000}
    spreads = {}
    for threads in sorted({1, min(2, environment.usable_cores())}):
        name = "three_taps" if threads == 1 else "three_taps_by_all"
        with harness.engine(budget, settings, _PLANTED) as engine:
            for size, length in sizes.items():
                # where neighbours share the cache, a median of few rounds is further off than luck
                rounds = 10 if budget.quick else 120 if length < 100_000 else 300
                engine.settings = replace(settings, rounds=rounds)
                nobody = ""  # is the baseline: what is asked needs no twins
                block = Block(_FILTER(signal=(length,)), threads, (name,), nobody)
                times = np.array(harness.seconds(harness.timed(engine, block), name))
                medians = np.median(times / np.median(times, axis=0), axis=1)
                spreads[f"{size}, {threads} threads"] = max(medians) / min(medians) - 1
    worst = max(spreads, key=spreads.get)
    found = f"{spreads[worst]:.1%} at {worst}; median {np.median(list(spreads.values())):.1%}"
    return Outcome(found, bool(spreads[worst] <= 0.03))


def equals(budget):
    """Share of verdicts "faster" or "slower" among kernels that are one and the same."""
    settings = replace(harness.PATIENT, looks=1, sample_s=0.004)
    with harness.engine(budget, settings, _PLANTED) as engine:
        for length in np.geomspace(2_000, 50_000, 4 if budget.quick else 20).astype(int):
            case = _FILTER(signal=(int(length),))
            harness.measured(engine, Block(case, 1, EQUALS, EQUALS[0]))
        table = cells(engine.run.samples(), engine.run.facts())
    table = table[~table.baseline]
    count = Counter(table.verdict)
    wrong = count["faster"] + count["slower"]
    farthest = np.abs(np.log(table.speedup)).max()
    found = (
        f"{wrong / len(table):.1%} of {len(table)} ({count['same']} same, {count['unresolved']} "
        f"unresolved; farthest apart {np.expm1(farthest):.1%})"
    )
    return Outcome(found, wrong <= 0.05 * len(table))


def known(budget):
    """Published medians of kernels that wait, busily, until a known time is over."""
    case = Case.of("convolve", "float64", signal=(200,), taps=(5,))
    with harness.engine(budget, harness.PATIENT, _PLANTED) as engine:
        harness.measured(engine, Block(case, 1, tuple(BUSY), next(iter(BUSY))))
        table = cells(engine.run.samples(), engine.run.facts())
    errors = dict(zip(table.kernel, table.median_s - table.kernel.map(BUSY)))
    found = ", ".join(
        f"{name.removeprefix('busy_').replace('_', ' ')} {1e6 * error:+.2f} us"
        for name, error in errors.items()
    )
    return Outcome(found, all(abs(e) <= 0.005 * BUSY[name] + 1e-6 for name, e in errors.items()))


def side_by_side(budget):
    """Median times of libraries with pools of threads: alone in a block over all in one block."""
    threads = min(2, environment.usable_cores())
    names = [name for name in ("im2col", "numba_parallel", "torch") if _usable(name)]
    layer = {"channels": 64, "height": 28, "width": 28, "filters": 64}
    case = Case.of("conv2d", "float32", **layer)
    alone, together = ({name: [] for name in names} for _ in range(2))
    with harness.engine(budget, replace(harness.PATIENT, rounds=4, looks=1)) as engine:
        for _ in range(1 if budget.quick else 4):  # in turn: the machine changes meanwhile
            for group in (names, *([name] for name in names)):
                samples = harness.timed(engine, Block(case, threads, tuple(group), group[0]))
                for name in group:
                    kept = together if group is names else alone
                    kept[name] += np.concatenate(harness.seconds(samples, name)).tolist()
    ratios = {name: np.median(together[name]) / np.median(alone[name]) - 1 for name in names}
    found = ", ".join(f"{name} {ratio:+.1%}" for name, ratio in ratios.items())
    return Outcome(found, len(ratios) > 1 and bool(max(map(abs, ratios.values())) <= 0.05))


def _usable(name):
    return registry.get("conv2d", name).why_not() is None


CLAIMS = [
    Claim(
        "layout luck",
        "one Numba kernel in 8 processes, 16 kB to 16 MB, 1 and 2 threads: largest over smallest "
        "median of a process, times relative to their round",
        "at most 3 %",
        layout,
        quick=False,
        seconds=225,
    ),
    Claim(
        "equal kernels, here",
        "one Numba kernel under 21 names, 20 cases, by the verdicts of a run",
        "faster or slower in at most 5 %",
        equals,
        quick=False,
        seconds=70,
    ),
    Claim(
        "known durations",
        "kernels that wait busily for 100 us, 1 ms and 10 ms: error of the published median",
        "within 0.5 % and 1 us",
        known,
        quick=False,
        seconds=15,
    ),
    Claim(
        "libraries side by side",
        "OpenBLAS, Numba and torch at 2 threads: median in one block over alone in a block",
        "within 5 %",
        side_by_side,
        quick=False,
        seconds=40,
    ),
    Claim(
        "against pyperf",
        "the same calls, of 1 ms or more, which allocate little, timed by pyperf: ratio of medians",
        "within 3 %",
        rivals.against_pyperf,
        quick=False,
        seconds=40,
    ),
    Claim(
        "against pytest-benchmark",
        "the same calls, timed by pytest-benchmark: ratio of medians",
        "within 3 %",
        rivals.against_pytest_benchmark,
        quick=False,
        seconds=30,
    ),
    Claim(
        "compiling is in no time",
        "kernels that compile in a timed call, always or once: called wrong, or sampled again",
        "20 of 20",
        compiling.caught,
        quick=False,
        seconds=15,
    ),
    Claim(
        "compiling is not loading",
        "20 kernels that compile in one process and load in the next: booked as what it is",
        "20 of 20",
        compiling.told_apart,
        quick=False,
        seconds=15,
    ),
]
