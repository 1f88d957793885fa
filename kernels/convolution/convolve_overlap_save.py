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
_LINES = 4
"""`scipy.fft` puts this many transforms into the lanes of a vector; what is left runs singly."""
_SINGLY = 2
"""Cost of a transform that runs singly, to that of one in a vector."""
_LONGEST_LINE = 1 << 18
"""Bytes of a transform along one axis beyond which vectors of them do not stay in the L2 cache."""
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
    """Samples that a block is made of, where need be with zeros behind."""
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
        points = next_fast_len(side + k - 1, real=True)
        # A block takes as many samples as its transform has points: nothing is left to pad.
        yield _Cut(blocks, side, points, start - k + 1, points, k - 1)
        count = count + 1 if count < _LINES else -(-count * 5 // 4 // _LINES) * _LINES


@cache
def _plan(signal, taps, starts, stops, itemsize):
    """Choose the blocks with the least estimated time.

    Parameters
    ----------
    signal, taps, starts, stops : tuple of int
        Sides of the operands, and the window of outputs in their full convolution.
    itemsize : int

    Returns
    -------
    tuple of _Cut
        One an axis.
    """
    choices = (
        [_whole(n, k, *window), *_blocks(k, *window)]
        for n, k, *window in zip(signal, taps, starts, stops)
    )
    return min(product(*choices), key=lambda cuts: _estimate(cuts, itemsize))


def _estimate(cuts, itemsize):
    """Time in arbitrary units: of all blocks there and back, and of the filter there.

    n (log n + what copying costs) a transform, dearer outside the cache and in no vector.
    """
    block, count = prod(cut.points for cut in cuts), prod(cut.count for cut in cuts)
    line = max(cut.points for cut in cuts)

    def share(lines):
        """Mean cost of one of so many transforms, to that of one in a vector."""
        singly = lines % _LINES if line * itemsize <= _LONGEST_LINE else lines
        return (lines - singly + _SINGLY * singly) / lines

    lines = block // line
    time = 2 * count * share(count * lines) + share(lines)
    time *= max(block, _SMALLEST_BLOCK)
    time *= log2(block) + _COPYING + sum(_SHORT_LINES / cut.points for cut in cuts)
    return time * 1.5 if block > _LARGEST_BLOCK else time


def _prepare(signal, taps, mode):
    """Take the larger operand for the signal; return both, and how the outputs are cut up."""
    window = convolve_window(signal.shape, taps.shape, mode)
    if taps.size > signal.size:
        signal, taps = taps, signal
    starts, stops = zip(*((part.start, part.stop) for part in window))
    return signal, taps, _plan(signal.shape, taps.shape, starts, stops, signal.itemsize)


def _rows(cuts):
    """Blocks along the first axis that are transformed together, with all others of theirs.

    They fill vectors, of two threads at least.
    """
    points = [cut.points for cut in cuts]
    row = prod(cut.count for cut in cuts[1:]) * prod(points)
    least = -(-2 * _LINES * max(points) // row)
    return min(max(_BATCH_POINTS // row // least, 1) * least, cuts[0].count)


def _seen(signal, cuts, first, rows):
    """What some rows of blocks see: of the signal itself, or a copy with zeros at the border."""
    starts = [cut.first for cut in cuts]
    starts[0] += first * cuts[0].side
    counts = [rows, *(cut.count for cut in cuts[1:])]
    sides = [(count - 1) * cut.side + cut.seen for count, cut in zip(counts, cuts)]
    inside = [
        slice(min(max(start, 0), n), max(min(start + side, n), 0))
        for start, side, n in zip(starts, sides, signal.shape)
    ]
    part = signal[tuple(inside)]
    if part.shape == tuple(sides):
        return part
    padded = np.zeros(sides, signal.dtype)
    padded[tuple(slice(i.start - j, i.stop - j) for i, j in zip(inside, starts))] = part
    return padded


def _place(outputs, cuts, first, result):
    """Copy what rows of blocks have computed to where it belongs, and leave out what is beyond.

    Along each axis that is whole blocks, and perhaps a part of one more.
    """
    parts = []
    for axis, (cut, count) in enumerate(zip(cuts, outputs.shape)):
        block = first if axis == 0 else 0
        whole = min(count, result.shape[axis] // cut.side - block)
        begin, end = block * cut.side, (block + whole) * cut.side
        parts.append([(slice(whole), slice(begin, end), whole, cut.side)] if whole else [])
        if whole < count:
            rest = result.shape[axis] - end
            parts[-1].append((slice(whole, count), slice(end, end + rest), 1, rest))
    rank = len(cuts)
    for choice in product(*parts):
        blocks, region, counts, sides = zip(*choice)
        # Axes (block, output) of each side in turn, seen as all blocks first, then their outputs.
        target = result[region].reshape([n for pair in zip(counts, sides) for n in pair])
        target = target.transpose([*range(0, 2 * rank, 2), *range(1, 2 * rank, 2)])
        kept = (slice(cut.kept, cut.kept + side) for cut, side in zip(cuts, sides))
        target[...] = outputs[(*blocks, *kept)]


def _workspace(signal, taps, *, mode):
    """Of a batch padded samples, spectrum, product; the filter's spectrum."""
    signal, taps, cuts = _prepare(signal, taps, mode)
    points = prod(cut.points for cut in cuts)
    batch = _rows(cuts) * prod(cut.count for cut in cuts[1:]) * points
    return (points + 4 * batch) * signal.itemsize


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
    if out is None:
        out = np.empty(window_shape(convolve_window(signal.shape, taps.shape, mode)), signal.dtype)
    signal, taps, cuts = _prepare(signal, taps, mode)
    rank = signal.ndim
    workers = _workers(prod(cut.count * cut.points for cut in cuts))
    axes, points = tuple(range(rank, 2 * rank)), tuple(cut.points for cut in cuts)
    filter_spectrum = spectrum(taps, points)
    steps = tuple(slice(None, None, cut.side) for cut in cuts)
    batch = _rows(cuts)
    for first in range(0, cuts[0].count, batch):
        rows = min(batch, cuts[0].count - first)
        seen = _seen(signal, cuts, first, rows)
        blocks = sliding_window_view(seen, [cut.seen for cut in cuts])[steps]
        spectra = rfftn(blocks, points, axes, workers=workers)
        spectra *= filter_spectrum
        outputs = irfftn(spectra, points, axes, overwrite_x=True, workers=workers)
        _place(outputs, cuts, first, out)
    return out


@kernel("convolve", family="fft", algorithm="fft", workspace=_workspace, prepare=_keep_spectra)
def overlap_save(signal, taps, *, mode, out=None):
    """Overlap-save: FFTs of overlapping blocks of the signal, whose spoilt outputs are dropped.

    O(n log k) flops, by `scipy.fft` with a worker for each thread (Stockham, 1966; Oppenheim and
    Schafer, *Discrete-Time Signal Processing*, 8.7.3). Blocks of all axes are as large as an
    estimate of the cost says, up to one padded transform of everything. Equal blocks make
    batches that fill vectors and stay in the cache; only those at the border are copied before
    they are transformed. From some tens of taps on. Prepared, the spectrum of the taps is kept.
    """
    return _convolve(signal, taps, mode, _spectrum, out)
