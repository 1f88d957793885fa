import numba
import numpy as np
import pytest

from convgrad import kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("side", [7, 45])
def test_filters_packed_where_they_are_used_are_those_packed_before(dtype, side):
    """Outputs at side 7 are few: each thread packs its own blocks of filters."""
    kernel = kernels.get("conv2d", "numba_blocked")
    sizes = {"channels": 37, "filters": 200, "height": side, "width": side}
    images, filters = kernels.Case.of("conv2d", dtype, **sizes).inputs().arrays
    before, results = numba.get_num_threads(), []
    try:
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(threads)
            results.append(kernel(images, filters, padding="same"))
            results.append(kernel.prepare(filters, padding="same")(images))
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(result, results[0]) for result in results)
