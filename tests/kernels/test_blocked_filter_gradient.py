"""How the filter gradient of ``numba_blocked`` cuts its work, and images that lie channels last."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convgrad.kernels import get, vector
from convgrad.kernels.convolution.conv2d_blocked_filter_gradient_plan import pieces_of, tiles

SIZES = st.integers(1, 40)


@given(SIZES, SIZES, st.integers(1, 300))
def test_pieces_have_every_output_once(images, height, width):
    seen = np.zeros((images, height, width), int)
    for first, last, top, bottom, begin, end in pieces_of(images, (height, width)):
        seen[first:last, top:bottom, begin:end] += 1
    assert np.all(seen == 1)


@given(SIZES, st.integers(1, 100), st.sampled_from([np.float32, np.float64]))
def test_tiles_have_every_sum_once(left, right, dtype):
    lanes = vector.lanes_of(dtype)
    seen = np.zeros((left, right), int)
    for first, rows, start, columns, (tall, vectors, half) in tiles(left, right, dtype):
        assert rows <= tall <= rows + 1 <= 9
        assert columns <= vectors * lanes >> half
        seen[first : first + rows, start : start + columns] += 1
    assert np.all(seen == 1)


@pytest.mark.parametrize(("channels", "filters"), [(26, 47), (47, 26), (5, 16)])
def test_images_may_lie_channels_last(channels, filters):
    random = np.random.default_rng(0)
    images = random.integers(-4, 5, (2, channels, 9, 7)).astype(np.float32)
    gradient = random.integers(-4, 5, (2, filters, 7, 5)).astype(np.float32)
    last = [
        np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        for array in (images, gradient)
    ]
    kernel = get("conv2d_filter_gradient", "numba_blocked")
    expected = get("conv2d_filter_gradient", "im2col")(images, gradient, filter_size=3)
    assert np.array_equal(kernel(*last, filter_size=3), expected)
