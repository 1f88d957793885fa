"""What is compiled before the first block: all cases, but none that may be slow."""

from types import SimpleNamespace

import pytest

from convgrad.kernels import Case
from convgrad.suites.measure.block import Block
from convgrad.suites.measure.engine import Engine
from convgrad.suites.measure.settings import PRESETS

MACHINE = SimpleNamespace(usable_cores=lambda: 2)
SMALL = Case.of("convolve", "float32", signal=(1_000,), taps=(5,))
LARGE = Case.of("convolve", "float32", signal=(1_000_000,), taps=(5,))
TINY = Case.of("convolve", "float32", **SMALL.definition.named_cases["tiny"])


@pytest.fixture
def tried(tmp_path):
    """Have kernels compiled for both cases, at a time for each call; returns what was called."""

    def compile_(names, seconds):
        called, begun = {}, []

        def try_out(kernel, cases, threads):
            for case in cases:
                called.setdefault((kernel.name, threads), []).append(case)
                yield case, seconds(case) if callable(seconds) else seconds

        engine = Engine(
            PRESETS["laptop"], None, SimpleNamespace(begin=begun.append), MACHINE, tmp_path
        )
        engine.checks.try_out = try_out
        blocks = [
            Block(case, threads, names, names[0]) for case in (LARGE, SMALL) for threads in (1, 2)
        ]
        engine.compile(blocks)
        assert sorted(begun) == [1, 2]
        return called

    return compile_


def test_all_cases_are_tried_the_small_ones_first(tried):
    called = tried(("numba_parallel",), 1e-6)
    assert called == {("numba_parallel", n): [TINY, SMALL, LARGE] for n in (1, 2)}


def test_loops_are_tried_at_a_tiny_case_only(tried):
    called = tried(("numba_loops", "numpy"), 1e-6)
    assert {name for name, _ in called} == {"numba_loops"}
    assert {len(cases) for cases in called.values()} == {1}


def test_cases_that_may_be_slow_are_not_tried(tried):
    called = tried(("numba_parallel",), 0.05)
    assert {case for cases in called.values() for case in cases} == {TINY, SMALL}


def test_a_tiny_case_that_had_to_wait_says_nothing_of_the_others(tried):
    called = tried(("numba_parallel",), lambda case: 0.05 if case == TINY else 1e-6)
    assert {len(cases) for cases in called.values()} == {3}
