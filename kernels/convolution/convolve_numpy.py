"""1-D convolution with NumPy."""

import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window
from convgrad.kernels.registry import kernel


def _serves(signal, taps, *, mode):
    return None if signal.ndim == 1 else "numpy.convolve takes 1-D arrays only"


def _workspace(signal, taps, *, mode):
    """The shorter operand reversed; the full result where "same" is cut out of it."""
    cropped = mode == "same" and taps.size > signal.size
    full = signal.size + taps.size - 1 if cropped else 0
    return (min(signal.size, taps.size) + full) * signal.itemsize


@kernel("convolve", family="scipy", serves=_serves, workspace=_workspace)
def numpy(signal, taps, *, mode):
    """`numpy.convolve`: one dot product an output, by BLAS; up to 11 taps by loops of its own.

    2 n k flops on one thread. For short signals and few taps.
    """
    if mode == "same" and len(taps) > len(signal):
        # NumPy's "same" has the length of the longer operand.
        (window,) = convolve_window(signal.shape, taps.shape, mode)
        return np.convolve(signal, taps, "full")[window].copy()
    return np.convolve(signal, taps, mode)
