"""Convolution with SciPy: direct, by FFT, by FFT of overlapping blocks, and as image filter."""

from math import e, prod

import numpy as np
from scipy import ndimage
from scipy.fft import next_fast_len
from scipy.signal import convolve, convolve2d, fftconvolve, oaconvolve
from scipy.special import lambertw

from convgrad.kernels.registry import kernel

_NDIMAGE_ZERO = float(np.finfo(np.float64).eps)
"""Taps, and differences of taps, that `scipy.ndimage` takes for zero."""


def _full_shape(signal, taps):
    return tuple(n + k - 1 for n, k in zip(signal.shape, taps.shape))


def _direct_workspace(signal, taps, *, mode):
    """The reversed taps; in 1-D, NumPy's own: see there."""
    cropped = signal.ndim == 1 and mode == "same" and taps.size > signal.size
    full = signal.size + taps.size - 1 if cropped else 0
    return (taps.size + full) * signal.itemsize


@kernel("convolve", family="scipy", workspace=_direct_workspace)
def scipy_direct(signal, taps, *, mode):
    """SciPy's direct convolution: `scipy.signal.convolve`, in 2-D the faster `convolve2d`.

    2 n k flops on one thread. In 1-D it hands over to `numpy.convolve` where it can.
    """
    if signal.ndim == 2:
        return convolve2d(signal, taps, mode)
    return np.ascontiguousarray(convolve(signal, taps, mode, method="direct"))


def _fft_workspace(signal, taps, *, mode):
    """Two spectra, their product and the uncut result; a 1-D transform copies its line twice."""
    points = prod(next_fast_len(n, real=True) for n in _full_shape(signal, taps))
    return (6 if signal.ndim == 1 else 4) * points * signal.itemsize


def _overlap_add_workspace(signal, taps, *, mode):
    """As for one FFT, over all blocks at once, which overlap."""
    overlaps = [min(n, k) - 1 for n, k in zip(signal.shape, taps.shape)]
    points = prod(
        n / (1 - overlap / _overlap_add_block(overlap))
        for n, overlap in zip(_full_shape(signal, taps), overlaps)
    )
    return int((signal.ndim + 2) * points) * signal.itemsize


def _overlap_add_block(overlap):
    """Block length that SciPy finds best for an overlap, before rounding."""
    return overlap * -lambertw(-1 / (2 * e * overlap), -1).real if overlap else 1


@kernel("convolve", family="fft", algorithm="fft", workspace=_fft_workspace)
def scipy_fftconvolve(signal, taps, *, mode):
    """`scipy.signal.fftconvolve`: three real FFTs of the full result's size.

    O(N log N) flops with N = n + k - 1, on one thread. For operands of like size.
    """
    return fftconvolve(signal, taps, mode)


@kernel("convolve", family="fft", algorithm="fft", workspace=_overlap_add_workspace)
def scipy_oaconvolve(signal, taps, *, mode):
    """`scipy.signal.oaconvolve`: FFTs of blocks of the signal, overlapping results added up.

    O(n log k) flops on one thread; the block length is SciPy's choice (by Lambert's W). For
    taps much shorter than the signal; else it is `fftconvolve`. All blocks are alive at once.
    """
    return np.ascontiguousarray(oaconvolve(signal, taps, mode))


def _ndimage_workspace(signal, taps, *, mode):
    """Taps, the padded signal or the uncut result, and a table of offsets near borders.

    The table, of all taps at each place where the border cuts the filter differently, is what
    N-D filters in ndimage cost: k squared integers. 1-D filters keep two float64 lines instead.
    """
    shape = _full_shape(signal, taps) if mode == "full" else signal.shape
    moved = 0 if mode == "same" else prod(shape)
    extra = 2 * prod(shape) if signal.ndim == 1 else taps.size * prod(map(min, shape, taps.shape))
    return moved * signal.itemsize + 8 * (2 * taps.size + extra)


@kernel("convolve", family="scipy", workspace=_ndimage_workspace)
def scipy_ndimage(signal, taps, *, mode):
    """`scipy.ndimage.convolve` (in 1-D `convolve1d`) with zeros beyond the border.

    2 n k flops in float64, whatever the dtype, on one thread. Its result has the signal's size:
    "full" filters a padded signal, "valid" is cut out. It leaves out taps that are zero or NaN,
    so that an infinite sample meets no zero tap. For small filters over images and volumes.
    """
    taps, scale = _lifted(taps)
    if mode == "full":
        signal = np.pad(signal, [(half := (k - 1) // 2, k - 1 - half) for k in taps.shape])
    # ndimage centres an even filter one sample later than the definition of "same".
    origin = [k % 2 - 1 for k in taps.shape]
    target = signal.dtype if scale == 1 else np.float64  # What is scaled may overflow float32.
    if signal.ndim == 1:
        result = ndimage.convolve1d(signal, taps, output=target, mode="constant", origin=origin[0])
    else:
        result = ndimage.convolve(signal, taps, output=target, mode="constant", origin=origin)
    if scale != 1:
        result /= scale
        result = result.astype(signal.dtype, copy=False)
    if mode == "valid":
        window = tuple(slice(k // 2, k // 2 + n - k + 1) for n, k in zip(signal.shape, taps.shape))
        result = np.ascontiguousarray(result[window])
    return result


def _lifted(taps):
    """Scale taps by a power of two until none, nor a difference of two, passes for zero.

    ndimage ignores taps below 2e-16, and takes 1-D taps for symmetric that differ by less.

    Returns
    -------
    taps : ndarray
        In float64.
    scale : float
        What they were multiplied by.
    """
    taps_64 = taps.astype(np.float64)
    magnitudes = np.abs(taps_64[np.isfinite(taps_64) & (taps_64 != 0)])
    smallest_safe = 2 * _NDIMAGE_ZERO / float(np.finfo(taps.dtype).eps)
    smallest = magnitudes.min(initial=np.inf)
    if smallest >= smallest_safe:
        return taps_64, 1.0
    scale = 2.0 ** np.ceil(np.log2(smallest_safe / smallest))
    return taps_64 * scale, scale
