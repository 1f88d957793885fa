"""2-D convolution with OpenCV."""

from math import prod

import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window, window_shape
from convgrad.kernels.registry import kernel


def _serves(signal, taps, *, mode):
    return None if signal.ndim == 2 else "OpenCV filters images only"


def _workspace(signal, taps, *, mode):
    """The flipped taps; the padded signal, or the result that "valid" is cut from.

    Large filters go through the DFT of blocks, whose buffers are small.
    """
    padded = prod(window_shape(convolve_window(signal.shape, taps.shape, "full")))
    moved = {"full": padded, "same": 0, "valid": signal.size}[mode]
    return (taps.size + moved) * signal.itemsize


@kernel(
    "convolve",
    family="peer",
    algorithm="fft",
    requires=("cv2",),
    serves=_serves,
    workspace=_workspace,
)
def opencv(signal, taps, *, mode):
    """`cv2.filter2D` with flipped taps and zeros beyond the border.

    Direct sums up to about 11 x 11 taps, beyond them DFTs of blocks. Its result has the
    signal's size: "full" filters a padded signal, "valid" is cut out. On its own threads.
    """
    import cv2

    if mode == "full":
        signal = np.pad(signal, [((k - 1) // 2, k // 2) for k in taps.shape])
    rows, columns = taps.shape
    result = cv2.filter2D(
        np.require(signal, requirements=("C", "A")),
        -1,
        np.flip(taps).copy(),
        anchor=(columns // 2, rows // 2),
        borderType=cv2.BORDER_CONSTANT,
    )
    if mode == "valid":
        window = tuple(slice(k // 2, k // 2 + n - k + 1) for n, k in zip(signal.shape, taps.shape))
        result = np.ascontiguousarray(result[window])
    return result
