"""Suites of aims draw their sizes at random, and the same ones for the same seed."""

import numpy as np
import pytest

from convgrad import kernels
from convgrad.suites import bench_speed, bench_speed_layers
from convgrad.suites.aims import Aim, AimSuite, log_uniform

SUITE = bench_speed.SUITE
every_suite = pytest.mark.parametrize("suite", [SUITE, bench_speed_layers.SUITE])


def blocks(seed=1, **options):
    return SUITE.blocks("laptop", seed=seed, cores=2, **options)


def test_the_seed_decides_the_sizes():
    assert [b.case for b in blocks(1)] == [b.case for b in blocks(1)]
    assert {b.case for b in blocks(1)}.isdisjoint({b.case for b in blocks(2)})


def test_every_case_is_measured_on_one_thread_and_on_all():
    assert {b.threads for b in blocks()} == {1, 2}
    assert {b.threads for b in blocks(threads=[2])} == {2}
    assert {b.case.dtype for b in blocks(dtypes=["float64"])} == {"float64"}


@every_suite
def test_facts_name_the_cases_of_the_blocks(suite):
    facts = suite.facts("laptop", 1)
    found = suite.blocks("laptop", seed=1, cores=2)
    assert {label for fact in facts for label in fact["cases"]} == {b.case.label for b in found}
    assert all(fact["must_be"] > 0 and fact["ours"] for fact in facts)


@every_suite
def test_every_aim_has_its_first_case_before_any_has_a_second(suite):
    def done(blocks):
        """How many cases of each fact, at each number of threads, are in some blocks."""
        keys = {(b.case.label, b.call, b.threads) for b in blocks}
        return [
            sum((label, fact["call"], count) in keys for label in fact["cases"])
            for fact in suite.facts("laptop", 1)
            for count in (1, 2)
        ]

    plan = sorted(suite.blocks("laptop", seed=1, cores=2), key=lambda block: block.order)
    first = sum(block.turn[0] == 0 for block in plan)
    assert min(done(plan[: first - 1])) == 0
    assert min(done(plan[:first])) == 1
    assert {one.slowest_call_s for one in plan} == {suite.slowest_call_s}


def test_aims_that_draw_the_same_case_share_a_block_with_the_kernels_of_both():
    one, other = (
        Aim(name, "convolve", lambda _: {"signal": (100,), "taps": (3,)}, (name,), ("numpy",))
        for name in ("numba_parallel", "numba_toeplitz")
    )
    (block,) = AimSuite((one, other), {"laptop": 2}).blocks("laptop", seed=0, cores=1)
    assert set(block.kernels) == {"numpy", "numba_parallel", "numba_toeplitz"}
    assert block.baseline == "numpy"
    assert block.turn == (0, "convolve")


def test_listed_sizes_are_drawn_once_and_alike_by_all_aims_over_the_list():
    listed = [{"signal": (100 + i,), "taps": (3,)} for i in range(10)]
    some, more = (
        Aim(name, "convolve", listed, (name,), ("numpy",), often=often)
        for name, often in (("numba_parallel", 2), ("numba_toeplitz", 9))
    )
    assert len(set(some.cases(1, 2))) == 4
    assert more.cases(1, 2)[:4] == some.cases(1, 2) != some.cases(2, 2)
    assert len(set(more.cases(1, 2))) == 10


def test_an_aim_of_whose_kernels_none_takes_part_has_no_block():
    assert blocks(kernel_filter=lambda kernel: False) == []


def test_the_roof_is_probed_where_an_aim_is_a_share_of_it():
    shared = {"dtype": "float32", "draw": lambda _: {"signal": (100,), "taps": (3,)}}
    faster, near, other = (
        Aim(name, "convolve", ours=("numba_toeplitz",), rivals=("numpy",), **shared | told)
        for name, told in (
            ("faster", {"ratio": 1.5}),
            ("near", {"roof": 0.9}),
            ("other", {"ratio": 1.5, "call": "out"}),
        )
    )
    for aims in ((faster, near, other), (near, faster, other)):
        found = AimSuite(aims, {"laptop": 1}).blocks("laptop", seed=0, cores=1)
        assert {block.call: block.roofs for block in found} == {"plain": True, "out": False}


@every_suite
def test_kernels_of_the_aims_exist(suite):
    for aim in suite.aims:
        known = {k.name for k in kernels.find(aim.operation, usable=False)}
        assert {*aim.ours, *aim.rivals} <= known, aim.name


@every_suite
def test_names_of_aims_are_unique(suite):
    names = [aim.name for aim in suite.aims]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("seed", range(5))
def test_log_uniform_stays_in_its_range(seed):
    random = np.random.default_rng(seed)
    drawn = [log_uniform(random, 3, 3000) for _ in range(2000)]
    assert min(drawn) >= 3
    assert max(drawn) <= 3000
    assert np.mean(np.array(drawn) < 95) == pytest.approx(0.5, abs=0.05)
