"""Convolution of bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convgrad.kernels import Case, get, operation


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.integers(1, 9)] * 2, *[st.integers(1, 40)] * 2, *[st.integers(1, 3)] * 2),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_sums_of_bytes_are_exact(sides, stride, seed):
    """With scales of one, the result is the integer convolution itself."""
    channels, height, width, filters, *taps = sides
    generator = np.random.default_rng(seed)
    images = generator.integers(-127, 128, (2, channels, height, width)).astype(np.float32)
    weights = generator.integers(-127, 128, (filters, channels, *taps)).astype(np.float32)
    images[:, 0, 0, 0] = weights[:, 0, 0, 0] = 127
    options = {"stride": stride, "padding": "same"}
    arguments = operation("conv2d").bind(images, weights, **options)
    exact = operation("conv2d").reference(*arguments.arrays, **arguments.options)
    result = get("conv2d_int8", "numba_bytes")(images, weights, **options)
    assert np.array_equal(result, exact)


@pytest.mark.parametrize("name", ["numba_bytes", "numpy_doubles"])
def test_an_image_that_is_not_finite_is_nan_and_no_other(name):
    images, filters = np.ones((3, 5, 6, 6), np.float32), np.ones((4, 5, 3, 3), np.float32)
    images[1, 2, 3, 3] = np.inf
    result = get("conv2d_int8", name)(images, filters, padding="same")
    assert np.isnan(result[1]).all()
    assert np.isfinite(result[[0, 2]]).all()


@pytest.mark.parametrize("name", ["numba_bytes", "numpy_doubles"])
def test_a_given_scale_saturates(name):
    images, filters = np.array([1.0, 100.0]).reshape(1, 2, 1, 1), np.ones((1, 2, 1, 1))
    result = get("conv2d_int8", name)(images, filters, input_scale=0.5)
    assert result[0, 0, 0, 0] == pytest.approx(0.5 * (2 + 127))


def test_bytes_are_those_of_the_small_type():
    sizes = {"channels": 3, "height": 8, "width": 8, "filters": 5}
    case, floats = Case.of("conv2d_int8", **sizes), Case.of("conv2d", **sizes)
    weights = 3 * 5 * 9
    assert case.cost.kept_bytes == weights
    assert case.bytes == floats.bytes - 3 * weights + 4 * 5
    assert (case.flops, case.parameters) == (floats.flops, weights)
