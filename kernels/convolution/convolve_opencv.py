"""2-D convolution with OpenCV."""

from math import prod

import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window, window_shape
from convgrad.kernels.registry import kernel


def serves(signal, taps, *, mode):
    """The `serves` of filters by OpenCV."""
    return None if signal.ndim == 2 else "OpenCV filters images only"


def workspace(signal, taps, *, mode):
    """The flipped taps; the padded signal, or the result that "valid" is cut from.

    Large filters go through the DFT of blocks, whose buffers are small.
    """
    padded = prod(window_shape(convolve_window(signal.shape, taps.shape, "full")))
    moved = {"full": padded, "same": 0, "valid": signal.size}[mode]
    return (taps.size + moved) * signal.itemsize


def filtered(correlate, signal, sides, mode):
    """What a mode takes of ``correlate(signal, anchor)``, which has the signal's size."""
    if mode == "full":
        signal = np.pad(signal, [((k - 1) // 2, k // 2) for k in sides])
    rows, columns = sides
    signal = np.require(signal, requirements=("C", "A"))
    result = correlate(signal, (columns // 2, rows // 2))
    if mode == "valid":
        window = tuple(slice(k // 2, k // 2 + n - k + 1) for n, k in zip(signal.shape, sides))
        result = np.ascontiguousarray(result[window])
    return result


@kernel(
    "convolve",
    family="peer",
    algorithm="fft",
    requires=("cv2",),
    serves=serves,
    workspace=workspace,
)
def opencv(signal, taps, *, mode):
    """`cv2.filter2D` with flipped taps and zeros beyond the border.

    Direct sums up to about 11 x 11 taps, beyond them DFTs of blocks. Its result has the
    signal's size: "full" filters a padded signal, "valid" is cut out. On its own threads.
    """
    import cv2

    flipped = np.flip(taps).copy()

    def correlate(signal, anchor):
        return cv2.filter2D(signal, -1, flipped, anchor=anchor, borderType=cv2.BORDER_CONSTANT)

    return filtered(correlate, signal, taps.shape, mode)
