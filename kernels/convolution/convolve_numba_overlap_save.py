"""Overlap-save on transforms of our own: any rank as a series, its blocks two by two.

Rows of an image, with as many zeros between them as the taps need, follow each other in one
series; the taps, with gaps as long, are its filter. So are planes of a volume. What reaches
beyond the end of a row meets zeros, and what comes out between rows is dropped.
"""

from functools import lru_cache, partial
from math import ceil, log2
from typing import NamedTuple

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import fft
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.convolve_loops import as_volumes
from convgrad.kernels.convolution.geometry import layout
from convgrad.kernels.lines import room
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain
from convgrad.kernels.vector import lanes_of, load, store, width

_SMALLEST_SHARED = 1 << 14
"""Samples of all blocks, some 30 us of work, from which a second thread is worth waking."""
_SPECTRUM = 0.5
"""Transforming the taps, by one thread, to there and back of a pair of blocks."""
_STARTING, _ROW = 4, 200
"""What a sample costs besides its share of each of the log n steps of a transform, in such steps;
and what a row costs besides."""
_CACHED = 1 << 20
"""Bytes of a block beyond which each doubling makes its steps slower, by a tenth."""
_NARROWEST = 64
"""Outputs of a box along an axis, below which rows are too short, and boxes overlap too much."""
_KEPT_PLANS, _KEPT_TABLES, _KEPT_SPECTRA = 4096, 8, 4


class _Plan(NamedTuple):
    """How outputs are cut into boxes, and each box into blocks of a series."""

    samples: int
    """Numbers of a transform."""
    side: int
    """Outputs of a block: whole vectors, which wrapping around does not reach."""
    blocks: int
    """Blocks of a box."""
    rows: int
    """Rows of outputs of a box, in each plane."""
    columns: int
    """Outputs of a row."""
    down: int
    """Boxes below each other."""
    across: int
    """Boxes beside each other."""
    margin: int
    """Samples of a row before the first that is an output, whole vectors."""
    height: int
    """Rows of a plane of samples."""
    pitch: int
    """Samples of a row, whole vectors."""
    first: int
    """First sample of the series that is an output."""


def _lay_out(result, taps, columns, rows, lanes):
    """The series of a box: (margin, height, pitch, first output, outputs)."""
    margin = ceil((taps[2] - 1) / lanes) * lanes
    height, pitch = rows + taps[1] - 1, margin + ceil(columns / lanes) * lanes
    first = ((taps[0] - 1) * height + taps[1] - 1) * pitch + margin
    stop = ((result[0] + taps[0] - 1) * height - 1) * pitch + margin + columns
    return margin, height, pitch, first, stop - first


def _cuts(outputs, lines):
    """Sides of equal boxes, from one for all outputs on; to cut a single line saves nothing."""
    yield outputs
    parts = 2
    while lines > 1 and outputs // parts >= _NARROWEST:
        yield ceil(outputs / parts)
        parts *= 2


@lru_cache(_KEPT_PLANS)
def _plan(result, taps, dtype, threads):
    """Choose boxes and blocks with the least estimated time of the thread that has most to do.

    Parameters
    ----------
    result, taps : tuple of int
        Sides of the volumes.
    dtype : dtype
    threads : int

    Returns
    -------
    _Plan
    """
    lanes, choices = lanes_of(dtype), []
    for columns in _cuts(result[2], result[0] * result[1]):
        # Boxes beside each other meet at whole vectors.
        columns = ceil(columns / lanes) * lanes if columns < result[2] else columns
        for rows in _cuts(result[1], result[0]):
            margin, height, pitch, first, outputs = _lay_out(result, taps, columns, rows, lanes)
            down, across = ceil(result[1] / rows), ceil(result[2] / columns)
            lost = first - margin + ceil((taps[2] - 1) / lanes) * lanes
            samples = fft.smallest(dtype)
            while samples <= lost:
                samples *= 2
            while True:
                side = samples - lost
                blocks = ceil(outputs / side)
                pairs = ceil(blocks * down * across / 2)
                busy = ceil(pairs / threads) if pairs * samples >= _SMALLEST_SHARED else pairs
                slower = max(log2(2 * samples * dtype.itemsize / _CACHED), 0) / 10
                steps = (log2(samples) + _STARTING) * (1 + slower) + _ROW / pitch
                plan = _Plan(
                    *(samples, side, blocks, rows, columns, down, across),
                    *(margin, height, pitch, first),
                )
                choices.append(((busy + _SPECTRUM) * samples * steps, plan))
                if blocks == 1:
                    break
                samples *= 2
    return min(choices)[1]


_tables = lru_cache(_KEPT_TABLES)(fft.tables)


@njit(cache=True, inline="always")
def _fill_row(work, at, part, count, row, column):
    """Set ``count`` numbers, from a whole vector on, to a row's from a column on; else zeros."""
    lanes = width(work)
    begin, end = max(-column, 0), row.size - column
    for i in range(0, count, lanes):
        place = 2 * (at + i) + part * lanes
        if begin <= i and i + lanes <= end:
            store(work, place, load(row, column + i, lanes))
        else:
            for lane in range(lanes):
                inside = begin <= i + lane < end
                work[place + lane] = row[column + i + lane] if inside else 0


@njit(cache=True)
def _fill(work, part, signal, origin, plan, begin):
    """Set the real (``part`` 0) or imaginary numbers to the series of a box from ``begin`` on.

    The box starts at the ``origin`` of the signal, or before it.
    """
    samples, i = work.size // 2, 0
    while i < samples:
        line = (begin + i) // plan.pitch
        column = begin + i - line * plan.pitch
        plane, row = origin[0] + line // plan.height, origin[1] + line % plan.height
        count = min(plan.pitch - column, samples - i)
        if 0 <= plane < signal.shape[0] and 0 <= row < signal.shape[1]:
            _fill_row(work, i, part, count, signal[plane, row], origin[2] + column)
        else:
            _fill_row(work, i, part, count, signal[0, 0, :0], 0)
        i += count


@njit(cache=True)
def _place(work, part, result, corner, taps, plan, begin):
    """Write the last ``side`` numbers, those of the series from ``begin`` on, where they belong."""
    lanes, i = width(work), 0
    while i < plan.side:
        line = (begin + i) // plan.pitch
        column = begin + i - line * plan.pitch - plan.margin
        count = min(plan.pitch - plan.margin - column, plan.side - i)
        plane = line // plan.height - taps[0] + 1
        inside = line % plan.height - taps[1] + 1
        row = corner[0] + inside
        before = max(-column, 0)
        if plane < result.shape[0] and 0 <= inside < plan.rows and row < result.shape[1]:
            target = result[plane, row]
            first = corner[1] + column
            stop = min(count, plan.columns - column, target.size - first)
            at = 2 * (plan.samples - plan.side + i) + part * lanes
            whole = max(stop - before, 0) // lanes * lanes + before
            for j in range(before, whole, lanes):
                store(target, first + j, load(work, at + 2 * j, lanes))
            for j in range(whole, stop):
                target[first + j] = work[at + 2 * whole + j - whole]
        i += count


@njit(cache=True)
def _spectrum(taps, plan, levels, factors):
    """Transform the taps as `fft.convolve` takes them, divided by the number of samples."""
    work = room(2 * plan.samples, taps)
    for i in range(work.size):
        work[i] = 0
    lanes = width(taps)
    scale = taps.dtype.type(1) / taps.dtype.type(plan.samples)
    for plane in range(taps.shape[0]):
        for row in range(taps.shape[1]):
            at = 2 * (plane * plan.height + row) * plan.pitch
            for column in range(taps.shape[2]):
                block, lane = column // lanes, column % lanes
                work[at + 2 * block * lanes + lane] = taps[plane, row, column] * scale
    fft.transform(work, levels, factors)
    return work


@njit(cache=True)
def _set_pairs(signal, spectrum, levels, factors, start, taps, plan, begin, end, result):
    """Set what the pairs of blocks from ``begin`` to ``end`` give."""
    work = room(2 * plan.samples, signal)
    for pair in range(begin, end):
        for part in range(2):
            box, block = divmod(2 * pair + part, plan.blocks)
            down, across = divmod(box, plan.across)
            origin = (
                start[0] - taps[0] + 1,
                start[1] - taps[1] + 1 + down * plan.rows,
                start[2] - plan.margin + across * plan.columns,
            )
            seen = plan.first + (block + 1) * plan.side - plan.samples
            _fill(work, part, signal, origin, plan, seen)
        fft.convolve(work, levels, factors, spectrum)
        for part in range(2):
            box, block = divmod(2 * pair + part, plan.blocks)
            down, across = divmod(box, plan.across)
            corner = down * plan.rows, across * plan.columns
            _place(work, part, result, corner, taps, plan, plan.first + block * plan.side)


@njit(cache=True, parallel=True)
def _set_shared(
    set_pairs, signal, spectrum, levels, factors, start, taps, plan, pairs, parts, result
):
    for part in prange(parts):
        begin, end = np.int64(part * pairs // parts), np.int64((part + 1) * pairs // parts)
        blocks = signal, spectrum, levels, factors, start, taps, plan, begin, end, result
        call(set_pairs, blocks)


def _pairs(plan):
    return ceil(plan.blocks * plan.down * plan.across / 2)


def _parts(plan):
    pairs = _pairs(plan)
    shared = pairs * plan.samples >= _SMALLEST_SHARED
    return min(numba.get_num_threads(), pairs) if shared else 1


def _make_spectrum(taps, plan):
    return _spectrum(taps, plan, *_tables(plan.samples, taps.dtype))


def _convolve(signal, taps, mode, spectrum_of, out):
    signal, taps, result, start, out = as_volumes(signal, taps, mode, out)
    if taps.size > signal.size:
        signal, taps = taps, signal
    plan = _plan(result.shape, taps.shape, signal.dtype, numba.get_num_threads())
    parts = _parts(plan)
    arguments = (
        *(signal, spectrum_of(taps, plan), *_tables(plan.samples, signal.dtype)),
        *(start, taps.shape, plan),
    )
    if parts > 1:
        set_pairs = address_of(_set_pairs, *arguments, 0, _pairs(plan), result)
        _set_shared(set_pairs, *arguments, _pairs(plan), parts, result)
    else:
        _set_pairs(*arguments, 0, _pairs(plan), result)
    return out


def _workspace(signal, taps, *, mode):
    """The spectrum, and for each thread a block."""
    operands = layout(signal.shape, taps.shape, mode).volumes
    taps_shape = operands[taps.size <= signal.size]
    plan = _plan(operands[2], taps_shape, signal.dtype, numba.get_num_threads())
    return 2 * plan.samples * signal.itemsize * (1 + _parts(plan))


def _keep_spectra(taps, *, mode):
    """Keep the spectra of the taps, for the blocks that the last few signals were cut into."""
    volume = plain(taps).reshape((1,) * (3 - taps.ndim) + taps.shape)
    kept = lru_cache(_KEPT_SPECTRA)(partial(_make_spectrum, volume))

    def call(signal, out=None):
        if taps.size > signal.size:  # then the signal's spectrum is the smaller one
            return numba_overlap_save.function(signal, taps, mode=mode, out=out)
        return _convolve(signal, taps, mode, lambda _, plan: kept(plan), out)

    return call


@kernel("convolve", family="fft", algorithm="fft", workspace=_workspace, prepare=_keep_spectra)
def numba_overlap_save(signal, taps, *, mode, out=None):
    """Overlap-save on transforms of its own, two blocks in each.

    A series is cut into blocks that overlap by the taps, and their spoilt outputs are dropped
    (Stockham, 1966). Two blocks go into each complex transform, as its real and its imaginary
    part, and come back apart, since the taps are real; the order of frequencies does not matter,
    so that nothing is ever permuted (`kernels.fft`). Images and volumes are series of rows with
    zeros between (the helix of Claerbout, 1998), in boxes of columns and rows where whole ones
    would make blocks too long.

    About 5 N log2 N flops there and as many back, for two blocks of N samples; an estimate of the
    time chooses N and the boxes. Each thread works on a block of its own, 2 N numbers, beside the
    spectrum and the factors of the transform. The error is that of an FFT: some eps log2 N of the
    norms of what it transforms, not of each output; blocks are chosen for the number of threads, so
    that results on another one differ by as much. For series from some 60 taps on, images from
    11 x 11, volumes from 5 x 5 x 5. Prepared, the spectrum of the taps is kept.
    """
    return _convolve(signal, taps, mode, _make_spectrum, out)
