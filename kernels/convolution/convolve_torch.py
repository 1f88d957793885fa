"""Convolution with PyTorch: one image, one channel, one filter."""

from math import prod

import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window, window_shape
from convgrad.kernels.registry import kernel

_LARGEST_PADDING = 16
"""Zeros that are left to oneDNN: from about 28 on it takes code that is 30 times as slow."""

_BLOCK_OF_CHANNELS = 16
"""Output channels that oneDNN computes at least, with 512-bit vectors."""


def _prepare(signal, taps, mode):
    """Order operands; return them with the shape of the result and the zeros at both ends."""
    window = convolve_window(signal.shape, taps.shape, mode)
    if mode == "full" and taps.size > signal.size:
        signal, taps = taps, signal
    before = [k - 1 - part.start for part, k in zip(window, taps.shape)]
    after = [part.stop - n for part, n in zip(window, signal.shape)]
    return signal, taps, window_shape(window), before, after


def _tensor(array):
    """Tensor (1, 1, ...) of the array's memory where PyTorch can take it, else of a copy."""
    from torch import from_numpy

    usable = array.flags.carray and min(array.strides) >= 0
    return from_numpy(array if usable else array.copy())[None, None]


def _workspace(signal, taps, *, mode):
    """The flipped taps, the padded signal, and what the algorithms make of one channel."""
    signal, taps, shape, before, after = _prepare(signal, taps, mode)
    moved = max(before) > _LARGEST_PADDING
    padded = prod(n + b + a for n, b, a in zip(signal.shape, before, after)) if moved else 0
    channels = _BLOCK_OF_CHANNELS if signal.dtype == np.float32 else taps.size
    return (taps.size + padded + channels * prod(shape)) * signal.itemsize


@kernel("convolve", family="peer", requires=("torch",), workspace=_workspace)
def torch(signal, taps, *, mode):
    """`torch.nn.functional.conv1d`, `conv2d` or `conv3d` with flipped taps.

    2 n k flops on all threads. float32 runs in oneDNN, which is made for many channels and
    fills a vector of them with one; float64 is PyTorch's own im2col, which writes every sample
    once for each tap.
    """
    from torch.nn import functional

    signal, taps, shape, before, after = _prepare(signal, taps, mode)
    image, weights = _tensor(signal), _tensor(np.flip(taps))
    if max(before) > _LARGEST_PADDING:
        # PyTorch counts axes from the last.
        image = functional.pad(
            image, [z for b, a in zip(before[::-1], after[::-1]) for z in (b, a)]
        )
        before = [0] * signal.ndim
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[signal.ndim - 1]
    result = convolve(image, weights, padding=before)[0, 0].numpy()
    # "same" with an even number of taps has fewer zeros at the end than at the start.
    return np.ascontiguousarray(result[tuple(map(slice, shape))])
