import numba
import numpy as np
import pytest

from convgrad import kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("side", "taps"), [(7, 3), (45, 3), (9, 7)])
@pytest.mark.parametrize("operation", ["conv2d", "conv2d_input_gradient"])
def test_filters_packed_where_they_are_used_are_those_packed_before(operation, side, taps, dtype):
    """Outputs at side 7 are few: each thread packs its own blocks of filters.

    At side 9 few of them see the same of 7 x 7 taps: they are sorted by single taps.
    """
    kernel = kernels.get(operation, "numba_blocked")
    sizes = {"channels": 37, "filters": 200, "height": side, "width": side}
    sizes |= {"filter_height": taps, "filter_width": taps}
    (given, filters), options = kernels.Case.of(operation, dtype, **sizes).inputs()
    before, results = numba.get_num_threads(), []
    try:
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(threads)
            results.append(kernel(given, filters, **options))
            results.append(kernel.prepare(filters, **options)(given))
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(result, results[0]) for result in results)
    reference = kernels.operation(operation).reference(given, filters, **options)
    assert np.abs(results[0] - reference).max() < 1e4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("across", [14, 15, 16, 31, 32, 33, 47])
@pytest.mark.parametrize("stride", [2, 3])
def test_single_taps_see_every_so_many_pixels(stride, across, dtype):
    """Rows of a vector of outputs and more are picked out whole, with all lanes of channels."""
    kernel = kernels.get("conv2d", "numba_blocked")
    sizes = {"channels": 35, "filters": 5, "height": 5, "width": across, "stride": stride}
    sizes |= {"filter_height": 1, "filter_width": 1}
    (images, filters), options = kernels.Case.of("conv2d", dtype, **sizes).inputs()
    reference = kernels.operation("conv2d").reference(images, filters, **options)
    result = kernel(images, filters, **options)
    assert np.abs(result - reference).max() < 1e3 * np.finfo(dtype).eps
