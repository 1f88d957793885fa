"""Filters of rank 1: when they are found, and what two passes make of them."""

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convgrad.kernels import Case, examples, get, operation
from convgrad.kernels.convolution.convolve_separable import rank_one
from convgrad.kernels.data import gaussian
from convgrad.kernels.operation import error_ratio

SEPARABLE, OPENCV, STRIPES = (
    get("convolve", name) for name in ("separable", "opencv_separable", "numba_stripes")
)
DTYPES = "float32", "float64"


def drawn(signal, taps, dtype, seed=0):
    case = Case.of("convolve", dtype, signal=signal, taps=taps, rank=1)
    return case.inputs(seed).arrays


@pytest.mark.parametrize("dtype", DTYPES)
def test_cases_of_rank_one_are_found(dtype):
    for sides in ((3, 7), (5, 5), (7, 63), (63, 8)):
        _, taps = drawn((8, 8), sides, dtype)
        found, down, across = rank_one(taps)
        assert found
        assert np.linalg.matrix_rank(taps) == 1
        np.testing.assert_allclose(np.outer(down, across)[::-1, ::-1], taps, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bells_are_found_even_where_they_underflow(dtype):
    assert rank_one(gaussian((63, 63)).astype(dtype))[0]
    narrow = np.exp(-(np.arange(-31.0, 32) ** 2) / 4)
    assert rank_one(np.outer(narrow, narrow).astype(dtype))[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_filters_are_not_found(dtype):
    _, taps = drawn((8, 8), (9, 11), dtype)
    eps = np.finfo(dtype).eps
    for i, j in ((0, 0), (4, 5), (8, 10)):
        other = taps.copy()
        other[i, j] *= 1 + 64 * eps
        assert not rank_one(other)[0]
    for value in (np.nan, np.inf):
        other = taps.copy()
        other[3, 4] = value
        assert not rank_one(other)[0]
    for other in (0 * taps, taps[:1], taps[:, :1], taps[:2, :2]):
        assert not rank_one(np.ascontiguousarray(other))[0]
    assert not rank_one((taps * np.finfo(dtype).smallest_subnormal).astype(dtype))[0]


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_two_passes_keep_the_bound_of_the_direct_sum(data):
    taps = tuple(data.draw(st.integers(1, 40)) for _ in range(2))
    signal = tuple(data.draw(st.integers(1, 140)) for _ in range(2))
    dtype, mode = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(("full", "same")))
    arrays = drawn(signal, taps, dtype, data.draw(st.integers(0, 99)))
    check(SEPARABLE, arrays, mode)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1301, 2048])
@pytest.mark.parametrize("kernel", [SEPARABLE, OPENCV], ids=lambda k: k.name)
def test_large_images_are_right(kernel, columns, dtype, mode):
    if reason := kernel.why_not():
        pytest.skip(reason)
    check(kernel, drawn((211, columns), (13, 18), dtype), mode)


def check(kernel, arrays, mode):
    definition = operation("convolve")
    expected = STRIPES(*(a.astype(float) for a in arrays), mode=mode)
    algorithm = "direct" if kernel is SEPARABLE else kernel.algorithm
    bound = definition.bound(algorithm, *arrays, mode=mode)
    bound = bound + definition.bound("direct", *arrays, mode=mode)
    assert error_ratio(kernel(*arrays, mode=mode), expected, bound) <= 1


@pytest.mark.parametrize("sides", [(9, 12), (63, 40)])
def test_threads_do_not_change_a_bit(sides):
    arrays, before = drawn((700, 931), sides, "float32"), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = SEPARABLE(*arrays, mode="same")
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        assert np.array_equal(SEPARABLE(*arrays, mode="same"), alone)
    finally:
        numba.set_num_threads(before)


def test_what_is_not_finite_reaches_what_sees_it_and_no_more():
    signal, taps = drawn((61, 170), (7, 9), "float32")
    taps = np.abs(taps)
    for value in (np.nan, np.inf):
        for place in ((0, 0), (30, 85), (60, 169)):
            spoilt = signal.copy()
            spoilt[place] = value
            plain = STRIPES(spoilt, taps, mode="same")
            result = SEPARABLE(spoilt, taps, mode="same")
            assert np.array_equal(np.isnan(result), np.isnan(plain))
            assert np.array_equal(np.isposinf(result), np.isposinf(plain))


@pytest.mark.parametrize("layout", list(examples.LAYOUTS))
def test_layouts(layout):
    arrange = examples.LAYOUTS[layout]
    signal, taps = drawn((33, 50), (7, 9), "float32")
    arrays = np.ascontiguousarray(arrange(signal)), np.ascontiguousarray(arrange(taps))
    result = SEPARABLE(arrange(signal), arrange(taps), mode="full")
    assert np.array_equal(result, SEPARABLE(*arrays, mode="full"))


def test_ranks_are_any_or_one():
    with pytest.raises(ValueError, match="rank"):
        Case.of("convolve", signal=(9, 9), taps=(3, 3), rank=2).outline()
    case = Case.of("convolve", signal=(9, 9), taps=(3, 3), rank=1)
    assert case.label == "signal=9x9,taps=3x3,rank=1,float32"
