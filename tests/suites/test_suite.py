import importlib
from pathlib import Path

import pytest

import convgrad.suites
from convgrad import kernels
from convgrad.suites.measure.settings import PRESETS
from convgrad.suites.suite import ALL, Axes, Suite, grid

FILES = sorted(Path(convgrad.suites.__file__).parent.glob("bench_*.py"))
SUITES = {
    path.stem: importlib.import_module(f"convgrad.suites.{path.stem}").SUITE for path in FILES
}
SWEEPS = {name: suite for name, suite in SUITES.items() if isinstance(suite, Suite)}


def test_grid_crosses():
    assert grid(a=[1, 2], b=[3]) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]


def test_each_case_and_thread_count_once():
    axes = Axes(grid(signal=[(10,), (10,)], taps=[(3,)]), ("float32", "float64"), (1, ALL, 2))
    blocks = Suite("convolve", "numpy", {"laptop": [axes, axes]}).blocks("laptop", cores=2)
    assert sorted((b.case.dtype, b.threads) for b in blocks) == [
        ("float32", 1),
        ("float32", 2),
        ("float64", 1),
        ("float64", 2),
    ]


def test_all_operations_are_swept():
    assert {suite.operation for suite in SWEEPS.values()} == set(kernels.operations())


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
@pytest.mark.parametrize("preset", PRESETS)
def test_suite_makes_valid_cases(suite, preset):
    blocks = suite.blocks(preset, cores=2, seed=0)
    assert blocks or preset == "smoke"
    for block in blocks:
        assert block.case.parameters > 0
        assert block.case.flops > 0
        assert block.case.outline()


@pytest.mark.parametrize("suite", SWEEPS.values(), ids=SWEEPS)
def test_baseline_is_a_kernel_that_needs_nothing(suite):
    assert kernels.get(suite.operation, suite.baseline).requires == ()


@pytest.mark.parametrize("operation", kernels.operations())
def test_default_sweep_covers_both_dtypes_and_both_ends_of_threads(operation):
    suites = [suite for suite in SWEEPS.values() if suite.operation == operation]
    blocks = [block for suite in suites for block in suite.blocks("laptop", cores=2)]
    assert {b.case.dtype for b in blocks} == {"float32", "float64"}
    assert {b.threads for b in blocks} == {1, 2}
