import numba
import numpy as np
import pytest

from convgrad import kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("side", "taps", "stride", "dilation", "padding"),
    [(9, 3, 1, 1, "same"), (40, 5, 2, 1, "same"), (41, 3, 3, 2, "valid"), (150, 7, 2, 1, 4)],
)
def test_parts_of_images_are_those_of_the_whole(side, taps, stride, dilation, padding, dtype):
    """Rows of gradients that reach two parts are multiplied for both."""
    random, kernel = np.random.default_rng(3), "numba_few_channels"
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    filters = random.standard_normal((30, 3, taps, taps)).astype(dtype)
    images = np.zeros((1, 3, side, side), dtype)
    shape = kernels.get("conv2d", "auto")(images, filters, **options).shape
    gradient, results = random.standard_normal(shape).astype(dtype), []
    before = numba.get_num_threads()
    try:
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(threads)
            results.append(
                kernels.get("conv2d_input_gradient", kernel)(
                    gradient, filters, image_size=side, **options
                )
            )
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(result, results[0]) for result in results)
    reference = kernels.operation("conv2d_input_gradient").reference(
        gradient,
        filters,
        **kernels.operation("conv2d").bind(images, filters, **options).options,
        image_size=(side, side),
    )
    assert np.abs(results[0] - reference).max() < 1e4 * np.finfo(dtype).eps
