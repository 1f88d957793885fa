import time

import numpy as np
import pytest
from numba import njit, types

from convgrad.suites.machine import spin


def test_a_chain_takes_about_two_milliseconds_and_the_thread_runs_nearly_all_of_it():
    spin.spin()
    walls, cpus = zip(*(spin.spin() for _ in range(20)))
    assert 0.3e6 < min(walls) < 20e6
    assert min(cpus) <= min(walls)
    assert min(cpus) == pytest.approx(min(walls), rel=0.2)


def test_no_step_of_the_chain_is_folded_away():
    def state(steps):
        value = 1
        for _ in range(steps):
            value ^= value << 13 & (1 << 64) - 1
            value ^= value >> 7
            value ^= value << 17 & (1 << 64) - 1
        return value

    assert [spin.spin_kernel(1, n) for n in (0, 1, 2, 999)] == [state(n) for n in (0, 1, 2, 999)]
    compiled = njit(spin.spin_kernel.py_func)
    compiled.compile((types.int64, types.int64))
    (text,) = compiled.inspect_asm().values()
    assert not any(name in text for name in ("xmm", "ymm", "zmm", "mul"))


def test_twice_the_steps_take_twice_as_long():
    def best(steps):
        times = []
        for _ in range(20):
            start = time.perf_counter()
            spin.spin_kernel(1, steps)
            times.append(time.perf_counter() - start)
        return min(times)

    assert best(2 * spin.STEPS) / best(spin.STEPS) == pytest.approx(2, rel=0.3)


def test_the_overhead_of_a_call_is_that_of_a_python_call(monkeypatch):
    assert 1e-8 < spin.call_overhead_s() < 1e-5
    now = iter(np.cumsum([0, 1000, 0, 3000, 0, 2000] * 10))
    monkeypatch.setattr(spin.time, "perf_counter_ns", lambda: next(now))
    monkeypatch.setattr(spin, "_REPEATS", 3)
    monkeypatch.setattr(spin, "_CALLS", 10)
    assert spin.call_overhead_s() == pytest.approx(2000 / 10 * 1e-9)
