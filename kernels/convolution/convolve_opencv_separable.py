"""2-D convolution with OpenCV, with filters that are the product of a column and a row."""

from convgrad.kernels.convolution.convolve_opencv import filtered, opencv, serves, workspace
from convgrad.kernels.convolution.convolve_separable import rank_one
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


def _filter(signal, taps, factors, mode):
    """Convolve with the result of `rank_one`."""
    import cv2

    found, down, across = factors
    if not found:
        return opencv.function(signal, taps, mode=mode)

    def correlate(signal, anchor):
        border = cv2.BORDER_CONSTANT
        return cv2.sepFilter2D(signal, -1, across, down, anchor=anchor, borderType=border)

    return filtered(correlate, signal, taps.shape, mode)


def _keep_factors(taps, *, mode):
    """Keep the factors of the taps."""
    taps = taps.copy()  # The compiled function knows arrays that may be written to.
    factors = rank_one(taps)
    return lambda signal: _filter(signal, taps, factors, mode)


@kernel(
    "convolve",
    family="peer",
    algorithm="fft",
    requires=("cv2",),
    serves=serves,
    workspace=workspace,
    prepare=_keep_factors,
)
def opencv_separable(signal, taps, *, mode):
    """`cv2.sepFilter2D` where the filter is of rank 1, `cv2.filter2D` where it is not.

    Factors are found as by the kernel `separable`, in every call. Modes are served as by
    `opencv`. 2 n (height + width) flops for n outputs, or what `opencv` does: hence the bound of
    an FFT.
    """
    taps = plain(taps)
    return _filter(signal, taps, rank_one(taps), mode)
