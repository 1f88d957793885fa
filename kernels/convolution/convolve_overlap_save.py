"""Overlap-save on `scipy.fft`: batches of equal FFT blocks, in one to three dimensions."""

from functools import cache, lru_cache, partial
from itertools import product
from math import log2, prod
from typing import NamedTuple

import numba
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfftn, next_fast_len, rfftn

from convgrad.kernels.convolution.geometry import convolve_window, window_shape
from convgrad.kernels.registry import kernel

_BATCH_POINTS = 1 << 18
"""Points transformed by one call: enough for all threads, few enough for the L2 and L3 caches."""
_SMALLEST_SHARED = 1 << 14
"""Points of all blocks from which more than one thread pays."""
_SMALLEST_BLOCK = 1024
"""Samples of a block, over all axes, below which calls and copies outweigh the arithmetic."""
_LARGEST_BLOCK = 1 << 17
"""Samples of a block beyond which it does not stay in the L2 cache."""
_LINES = 16
"""`scipy.fft` puts this many transforms into the lanes of a vector; fewer run one by one."""
_SHORTEST_SIDE = 16
_KEPT_LENGTHS = 4
"""Shapes of blocks for which prepared taps keep their spectra."""
_COPYING, _SHORT_LINES = 8, 30
"""Costs of a point besides its log n butterflies, and of the start of a line of points."""


class _Cut(NamedTuple):
    """How the outputs along one axis are cut into equal blocks."""

    count: int
    side: int
    """Outputs of a block."""
    points: int
    """Points of its transform."""
    first: int
    """Sample that the first block sees first; below 0 lie zeros."""
    seen: int
    """Samples that a block sees."""
    kept: int
    """First of a block's results that is not spoilt by wrapping around."""


def _whole(n, k, start, stop):
    """One block for all outputs: wrapping around may spoil only those outside the window."""
    points = next_fast_len(max(n, n + k - 1 - start, stop), real=True)
    return _Cut(1, stop - start, points, 0, n, start)


def _blocks(k, start, stop):
    """Yield ever more and shorter blocks, each behind the k - 1 samples of its past."""
    outputs, count = stop - start, 2
    while outputs // count >= max(k // 2, _SHORTEST_SIDE):
        # What rounding up to a good length gains goes to the outputs; then all shrink alike.
        side = next_fast_len(-(-outputs // count) + k - 1, real=True) - k + 1
        blocks = -(-outputs // side)
        side = -(-outputs // blocks)
        seen = side + k - 1
        yield _Cut(blocks, side, next_fast_len(seen, real=True), start - k + 1, seen, k - 1)
        count = max(count + 1, count * 3 // 2)


@cache
def _plan(signal, taps, starts, stops):
    """Choose the blocks with the least estimated time.

    Parameters
    ----------
    signal, taps, starts, stops : tuple of int
        Sides of the operands, and the window of outputs in their full convolution.

    Returns
    -------
    tuple of _Cut
        One an axis.
    """
    choices = (
        [_whole(n, k, *window), *_blocks(k, *window)]
        for n, k, *window in zip(signal, taps, starts, stops)
    )
    return min(product(*choices), key=_estimate)


def _estimate(cuts):
    """Time in arbitrary units: n (log n + what copying costs), dearer outside the cache."""
    block, count = prod(cut.points for cut in cuts), prod(cut.count for cut in cuts)
    time = count * max(block, _SMALLEST_BLOCK)
    time *= log2(block) + _COPYING + sum(_SHORT_LINES / cut.points for cut in cuts)
    if block > _LARGEST_BLOCK:
        time *= 1.5
    if count * block / max(cut.points for cut in cuts) < _LINES:
        time *= 2
    return time


def _prepare(signal, taps, mode):
    """Take the larger operand for the signal; return both, and how the outputs are cut up."""
    window = convolve_window(signal.shape, taps.shape, mode)
    if taps.size > signal.size:
        signal, taps = taps, signal
    starts, stops = zip(*((part.start, part.stop) for part in window))
    return signal, taps, _plan(signal.shape, taps.shape, starts, stops)


def _seen_sides(cuts):
    """Sides of what all blocks together see."""
    return tuple((cut.count - 1) * cut.side + cut.seen for cut in cuts)


def _rows(cuts):
    """Blocks along the first axis that are transformed together, with all others of theirs."""
    row = prod(cut.count for cut in cuts[1:]) * prod(cut.points for cut in cuts)
    return min(max(_BATCH_POINTS // row, 1), cuts[0].count)


def _padded(signal, cuts):
    """What all blocks see, with zeros beyond the border; the signal itself if it can be."""
    sides = _seen_sides(cuts)
    inside = tuple(
        slice(max(cut.first, 0), min(cut.first + side, n))
        for cut, side, n in zip(cuts, sides, signal.shape)
    )
    part = signal[inside]
    if part.shape == sides:
        return part
    padded = np.zeros(sides, signal.dtype)
    padded[tuple(slice(i.start - c.first, i.stop - c.first) for i, c in zip(inside, cuts))] = part
    return padded


def _workspace(signal, taps, *, mode):
    """Padded signal, uncut result, the filter's spectrum; of a batch samples, spectrum, product."""
    result = prod(window_shape(convolve_window(signal.shape, taps.shape, mode)))
    signal, taps, cuts = _prepare(signal, taps, mode)
    sides, points = _seen_sides(cuts), prod(cut.points for cut in cuts)
    padded = 0 if sides == signal.shape else prod(sides)
    uncut = prod(cut.count * cut.side for cut in cuts)
    batch = _rows(cuts) * prod(cut.count for cut in cuts[1:]) * points
    return (padded + (uncut if uncut > result else 0) + points + 3 * batch) * signal.itemsize


def _keep_spectra(taps, *, mode):
    """Keep the spectra of the taps, for the blocks that the last few signals were cut into."""
    kept = lru_cache(_KEPT_LENGTHS)(partial(_spectrum, taps))

    def call(signal, out=None):
        if taps.size > signal.size:  # then the signal's spectrum is the smaller one
            return overlap_save.function(signal, taps, mode=mode, out=out)
        return _convolve(signal, taps, mode, lambda _, points: kept(points), out)

    return call


def _workers(points):
    return numba.get_num_threads() if points >= _SMALLEST_SHARED else 1


def _spectrum(taps, points):
    return rfftn(taps, points, workers=_workers(prod(points)))


def _convolve(signal, taps, mode, spectrum, out):
    """Convolve, with the spectrum of the smaller operand from ``spectrum(taps, points)``."""
    shape = window_shape(convolve_window(signal.shape, taps.shape, mode))
    signal, taps, cuts = _prepare(signal, taps, mode)
    rank = signal.ndim
    workers = _workers(prod(cut.count * cut.points for cut in cuts))
    axes, points = tuple(range(rank, 2 * rank)), tuple(cut.points for cut in cuts)
    filter_spectrum = spectrum(taps, points)
    windows = sliding_window_view(_padded(signal, cuts), [cut.seen for cut in cuts])
    windows = windows[tuple(slice(None, None, cut.side) for cut in cuts)]
    kept = (..., *(slice(cut.kept, cut.kept + cut.side) for cut in cuts))

    whole = tuple(cut.count * cut.side for cut in cuts)
    uncut = out if out is not None and whole == shape else np.empty(whole, signal.dtype)
    # Axes (block, output) of each side in turn, seen as all blocks first, then their outputs.
    by_block = uncut.reshape([n for cut in cuts for n in (cut.count, cut.side)])
    by_block = by_block.transpose([*range(0, 2 * rank, 2), *range(1, 2 * rank, 2)])
    rows = _rows(cuts)
    for first in range(0, cuts[0].count, rows):
        batch = slice(first, first + rows)
        spectra = rfftn(windows[batch], points, axes, workers=workers)
        spectra *= filter_spectrum
        outputs = irfftn(spectra, points, axes, overwrite_x=True, workers=workers)
        by_block[batch] = outputs[kept]
    result = uncut[tuple(slice(n) for n in shape)]
    if out is None:
        return np.ascontiguousarray(result)
    if uncut is not out:
        out[...] = result
    return out


@kernel("convolve", family="fft", algorithm="fft", workspace=_workspace, prepare=_keep_spectra)
def overlap_save(signal, taps, *, mode, out=None):
    """Overlap-save: FFTs of overlapping blocks of the signal, whose spoilt outputs are dropped.

    O(n log k) flops, by `scipy.fft` with a worker for each thread (Stockham, 1966; Oppenheim and
    Schafer, *Discrete-Time Signal Processing*, 8.7.3). Blocks of all axes are as large as an
    estimate of the cost says, up to one padded transform of everything. Equal blocks make
    batches that fill vectors and stay in the cache. From some tens of taps on. Prepared, the
    spectrum of the taps is kept.
    """
    return _convolve(signal, taps, mode, _spectrum, out)
