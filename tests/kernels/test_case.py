import dataclasses

import numpy as np
import pytest

from convgrad.kernels import Case, operation, operations


def test_defaults_and_label():
    case = Case.of("convolve", signal=(512, 512), taps=(3, 3))
    sizes = {"signal": (512, 512), "taps": (3, 3), "mode": "full", "rank": "any"}
    assert dict(case.sizes) == sizes
    assert case.label == "signal=512x512,taps=3x3,float32"
    assert Case.of("convolve", "float64", signal=(9,), taps=(2,), mode="same").label == (
        "signal=9,taps=2,mode=same,float64"
    )


def test_equal_hashable_and_immutable():
    one = Case.of("convolve", signal=[100], taps=[3])
    other = Case.of("convolve", taps=(3,), mode="full", signal=(100,))
    assert one == other
    assert len({one, other, Case.of("convolve", "float64", signal=(100,), taps=(3,))}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.dtype = "float64"


def test_labels_tell_cases_apart():
    cases = [
        Case.of("fit_linear", dtype, samples=n, features=4, l1=l1)
        for dtype in ("float32", "float64")
        for n in (10, 20)
        for l1 in (0.0, 0.5)
    ]
    assert len({case.label for case in cases}) == len(cases)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"dtype": "float16"}, "dtype: got 'float16', expected one of 'float32', 'float64'"),
        ({"data": "cats"}, "data: got 'cats', expected one of 'random', 'photograph-blur'"),
        ({"tap": (3,)}, "size: got 'tap', expected one of 'signal', 'taps', 'mode'"),
        ({"taps": None}, "taps: got None, expected a size for every case of convolve"),
    ],
)
def test_bad_cases(call, message):
    with pytest.raises(ValueError, match=message):
        Case.of("convolve", **{"signal": (10,), "taps": (3,), **call})
    with pytest.raises(KeyError, match="no operation is named 'convolute'; near names: convolve"):
        Case.of("convolute")


def test_missing_size():
    with pytest.raises(ValueError, match="taps: got None, expected a size"):
        Case.of("convolve", signal=(10,))


def test_costs_are_the_operations():
    case = Case.of("conv2d", "float64", channels=2, height=5, width=6, filters=3, padding="valid")
    cost = operation("conv2d").cost(**dict(case.sizes))
    assert (case.cost, case.parameters, case.flops) == (cost, cost.parameters, cost.flops)
    assert case.parameters == 2 * 3 * 9
    assert case.flops == 2 * 54 * 3 * 4
    assert case.bytes == 8 * cost.elements == 8 * (2 * 30 + 54 + 3 * 12)


@pytest.mark.parametrize("name", operations())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_named_cases(name, dtype):
    for sizes in operation(name).named_cases.values():
        case = Case.of(name, dtype, **sizes)
        outline = case.outline()
        assert outline.dtype == dtype
        # Next to no memory: a row at most, where the share of zeros is to be seen.
        assert all(array.base.nbytes <= 8 * (array.shape[-1] + 1) for array in outline.arrays)
        assert case.flops > 0
        kept = 2 * case.cost.kept_bytes  # two weights of four bits in a byte
        assert case.cost.parameters <= case.cost.footprint + kept
        assert case.cost.footprint <= case.cost.elements


@pytest.mark.parametrize("name", operations())
def test_inputs_depend_on_the_seed_alone(name):
    case = Case.of(name, **operation(name).named_cases["tiny"])
    first, again, other = case.inputs(), case.inputs(seed=0), case.inputs(seed=1)
    outline = case.outline()
    for a, b, c, o in zip(first.arrays, again.arrays, other.arrays, outline.arrays):
        assert np.array_equal(a, b)
        assert not np.shares_memory(a, b)
        assert not np.array_equal(a, c)
        assert (a.shape, a.dtype) == (o.shape, o.dtype)
        assert np.isfinite(a).all()
    same = {key for key, value in first.options.items() if key not in ("step", "weights")}
    assert all(first.options[key] == outline.options[key] for key in same)


def test_fits_are_drawn_with_something_to_find():
    case = Case.of("fit_linear", "float64", samples=500, features=3, iterations=200)
    (features, targets), options = case.inputs()
    weights = operation("fit_linear").definition(features, targets, **options)
    residual = targets - features @ weights
    assert residual.std() == pytest.approx(0.1 * targets.std(), rel=0.2)
