"""Direct sums of images and volumes: strips and tiles, at sizes that take several of both."""

import numba
import numpy as np
import pytest
from scipy.signal import fftconvolve

from convgrad import kernels

stripes = kernels.get("convolve", "numba_stripes")
SHAPES = [
    ((61, 3001), (3, 3)),
    ((90, 2000), (6, 2)),
    ((90, 2000), (7, 3)),
    ((300, 301), (5, 4)),
    ((4000, 20), (3, 20)),
    ((20, 30), (2, 300)),
    ((3000, 1), (1, 1)),
    ((5, 61, 700), (3, 3, 3)),
    ((3, 70, 300), (3, 6, 40)),
]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("signal", "taps"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_are_right_and_the_same_on_all_threads(signal, taps, dtype, mode):
    if mode == "valid":
        taps = tuple(map(min, taps, signal))
    random = np.random.default_rng(1)
    arrays = [random.standard_normal(shape).astype(dtype) for shape in (signal, taps)]
    expected = fftconvolve(*(array.astype(float) for array in arrays), mode)
    before, results = numba.get_num_threads(), []
    try:
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(threads)
            results.append(stripes(*arrays, mode=mode))
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(result, results[0]) for result in results)
    assert np.abs(results[0] - expected).max() < 100 * np.finfo(dtype).eps * taps[-1]


def test_a_narrow_image_needs_little_room():
    tall, short = np.ones((1_000_000, 20), np.float32), np.ones((3, 20), np.float32)
    assert stripes.workspace(tall, short, mode="valid") < 1 << 21
