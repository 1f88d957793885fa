"""Direct 2-D and 3-D convolution: tiles of outputs held in registers, over stripes of rows."""

from functools import lru_cache
from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.convolve_border import copy_box
from convgrad.kernels.convolution.convolve_loops import as_volumes, loops_compiled
from convgrad.kernels.convolution.convolve_rolling import (
    MOST_ROWS,
    convolve_low,
    low_workspace,
    strip,
)
from convgrad.kernels.convolution.geometry import layout
from convgrad.kernels.registry import kernel

_ROWS, _VECTORS = (6, 4) if vector.register_bytes() == 64 else (6, 2)
"""Outputs of a tile: as many as fit into 32 or 16 registers beside what they are made of."""
_BYTES = vector.datapath_bytes()
"""Bytes of a vector."""
_TILE = _ROWS * _VECTORS
_WIDE = _VECTORS // 2 + 1
"""Vectors at the end of a row from which a whole tile takes less than one for each vector."""
_SMALLEST_PARTITION = 1 << 18
"""Multiplications, 5 to 15 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 64


@njit(inline="always")
def _sum(tile, source, at, pitches, weights, taps, planes):
    """Add to a tile its products with some planes of the filter."""
    for plane in range(planes[0], planes[1]):
        place, seen = plane * taps[1] * taps[2], at + plane * pitches[0]
        tile = vector.correlate(
            tile, weights, place, taps[1], taps[2], source, seen, pitches[1], _ROWS
        )
    return tile


@njit(cache=True)
def _sweep(
    source, at, ahead, pitches, weights, taps, planes, first, last, result, to, rows, columns
):
    """Set vectors ``first`` to ``last`` of up to ``_ROWS`` rows of outputs, from ``to`` on.

    As many rows of samples, ``ahead`` of those that a tile sees, come into the cache for later.
    """
    lanes = vector.lanes_in(_BYTES, source)
    whole = min(last, columns // lanes)
    place = first
    while place + _VECTORS <= whole:
        tile = vector.zero_tile(source, lanes, _TILE)
        seen = at + place * lanes
        for i in range(_ROWS):
            for j in range(0, _VECTORS * lanes, vector.lanes_in(64, source)):
                vector.prefetch(source, seen + ahead + i * pitches[1] + j, 2)
        tile = _sum(tile, source, seen, pitches, weights, taps, planes)
        vector.store_rows(result, to + place * lanes, columns, tile, _VECTORS, rows)
        place += _VECTORS
    if last - place >= _WIDE:
        # Samples lie there for all of a tile; of its outputs, some are not.
        tile = vector.zero_tile(source, lanes, _TILE)
        seen = at + place * lanes
        tile = _sum(tile, source, seen, pitches, weights, taps, planes)
        for i in range(rows):
            for j in range(last - place):
                index, left = to + i * columns + (place + j) * lanes, columns - (place + j) * lanes
                vector.store_first(result, index, tile[i * _VECTORS + j], left)
        place = last
    while place < last:
        slim = vector.zero_tile(source, lanes, _ROWS)
        seen = at + place * lanes
        slim = _sum(slim, source, seen, pitches, weights, taps, planes)
        index = to + place * lanes
        if place < whole:
            vector.store_rows(result, index, columns, slim, 1, rows)
        else:
            for i in range(rows):
                vector.store_first(result, index + i * columns, slim[i], columns - place * lanes)
        place += 1


@njit(cache=True)
def _convolve_high(signal, weights, taps, tall, wide, deep, start, box, result):
    """Set a box of outputs: planes ``box[0]`` to ``box[1]``, rows ``box[2]`` to ``box[3]``.

    It is called as `convolve_low` is, and compiled once for all heights. Vectors of outputs that
    see no border are made of the signal itself, the others of padded copies of what they see.
    """
    lanes = vector.lanes_in(_BYTES, signal)
    columns = result.shape[2]
    flat, outputs = signal.reshape(signal.size), result.reshape(result.size)
    shift = start[2] - taps[2] + 1
    vectors = (columns + lanes - 1) // lanes
    unit = _VECTORS * lanes
    first = min((max(-shift, 0) + unit - 1) // unit * _VECTORS, vectors)
    last = min((signal.shape[2] - shift - taps[2] + 1) // unit, columns // unit) * _VECTORS
    last = max(last, first)
    height = taps[1] + _ROWS - 1
    most = max(first, vectors - last)
    if start[1] < taps[1] - 1 or start[1] + result.shape[1] + _ROWS > signal.shape[1]:
        most = vectors
    most = (most + _VECTORS - 1) // _VECTORS * unit + taps[2] - 1
    copy = np.empty(taps[0] * height * most + lanes, signal.dtype)
    for plane in range(box[0], box[1]):
        top = plane + start[0] - taps[0] + 1
        planes = (max(-top, 0), min(taps[0], signal.shape[0] - top))
        for row in range(box[2], box[3], _ROWS):
            upper = row + start[1] - taps[1] + 1
            used = min(box[3] - row, _ROWS)
            to = (plane * result.shape[1] + row) * columns
            a, b = first, last
            if upper < 0 or upper + height > signal.shape[1]:
                a, b = vectors, vectors
            for side, v0, v1 in ((1, a, b), (0, 0, a), (0, b, vectors)):
                if v0 == v1:
                    continue
                if side == 1:
                    source = flat
                    pitches = (signal.shape[1] * signal.shape[2], signal.shape[2])
                    at = top * pitches[0] + upper * pitches[1] + shift
                    ahead = (taps[0] - 1) * pitches[0] + height * pitches[1]
                else:
                    source = copy
                    width = (v1 - v0 + _VECTORS - 1) // _VECTORS * unit + taps[2] - 1
                    pitches = (height * width, width)
                    at, ahead = -v0 * lanes, 0
                    where = (top, upper, v0 * lanes + shift)
                    copy_box(signal, where, (taps[0], height, width), copy)
                _sweep(
                    source,
                    at,
                    ahead,
                    pitches,
                    weights,
                    taps,
                    planes,
                    v0,
                    v1,
                    outputs,
                    to,
                    used,
                    columns,
                )


@njit(cache=True)
def _weights(taps):
    """The flipped taps in a row, and whether all are finite."""
    weights = taps.reshape(taps.size)[::-1].copy()
    finite = True
    for weight in weights:
        finite &= np.isfinite(weight)
    return weights, finite


@njit(cache=True, parallel=True)
def _convolve_parts(convolve_box, signal, weights, taps, tall, wide, deep, start, parts, result):
    """Set the result by parts of its planes, or of its rows where there is one plane."""
    planes, rows = result.shape[:2]
    blocks = (rows + _ROWS - 1) // _ROWS
    for number in prange(parts):
        part = np.int64(number)
        low, high = part * blocks // parts * _ROWS, (part + 1) * blocks // parts * _ROWS
        box = (np.int64(0), planes, low, min(high, rows))
        if planes > 1:
            box = (part * planes // parts, (part + 1) * planes // parts, np.int64(0), rows)
        call(convolve_box, (signal, weights, taps, tall, wide, deep, start, box, result))


@lru_cache(4096)
def _parts(shape, taps_size):
    """Parts that threads share, a power of two so that two threads get equal shares."""
    work = prod(shape) * taps_size
    most = shape[0] if shape[0] > 1 else -(-shape[1] // _ROWS)
    parts = max(min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, most), 1)
    return 1 << (parts.bit_length() - 1)


def _serves(signal, taps, *, mode):
    return None if signal.ndim > 1 else "it is for images and volumes"


def _workspace(signal, taps, *, mode):
    """The flipped taps, and for each thread copies of what is seen at the border."""
    _, (*operands, shape), start = layout(signal.shape, taps.shape, mode)
    threads = min(_parts(shape, min(taps.size, signal.size)), numba.get_num_threads())
    planes, rows, columns = sides = min(operands, key=prod)
    if rows <= MOST_ROWS:
        longer = max(operands, key=prod)
        own = low_workspace(longer, sides, shape, start, signal.itemsize)
        return (prod(sides) + threads * own) * signal.itemsize
    lanes = _BYTES // signal.itemsize
    unit = _VECTORS * lanes
    copy = planes * (rows + _ROWS - 1) * (-(-shape[2] // unit) * unit + columns - 1) + lanes
    return (planes * rows * columns + threads * copy) * signal.itemsize


@kernel("convolve", family="numba", serves=_serves, workspace=_workspace)
def numba_stripes(signal, taps, *, mode, out=None):
    """Direct sums over register tiles, 6 rows x 4 vectors of outputs (2 on 16 registers).

    Each row of samples that a tile sees is loaded once a tap, and goes to all rows of the tile
    that it meets, so that a load serves up to six multiply-adds (register blocking; Goto and
    van de Geijn, 2008). 24 sums, 4 samples and 1 tap fill 32 registers. Planes of a volume are
    further taps. Tiles read the signal itself, at the border padded copies of what they see, and
    have the rows that the tiles below them will see brought into L2.

    Of filters with up to 6 rows the sums roll down a strip of columns instead, up to 8 vectors
    wide: one row of sums for each row of the filter, so that samples are loaded once a tap for
    all outputs. Lines of outputs are fetched before they are written.

    2 n k flops; signal and result are moved once, and every output sums in one order, however
    many threads there are. The shorter operand takes the part of the taps. Large images with 3 x 3
    taps wait for the memory; beyond about 25 x 25 an FFT of blocks needs less. The first call
    compiles for the height of the filter: 1 to 6, or more.
    """
    signal, taps, result, start, out = as_volumes(signal, taps, mode, out)
    if taps.size > signal.size:
        signal, taps = taps, signal
    weights, finite = _weights(taps)
    if not finite:  # Padding would spread it.
        loops_compiled(signal, taps, start, result)
        return out
    low = taps.shape[1] <= MOST_ROWS
    convolve_box = convolve_low if low else _convolve_high
    known = strip(taps.shape) if low else ((0,), (0,), (0,))
    arguments = signal, weights, taps.shape, *known, start
    parts = _parts(result.shape, taps.size)
    if parts == 1 or numba.get_num_threads() == 1:
        convolve_box(*arguments, (0, result.shape[0], 0, result.shape[1]), result)
    else:
        address = address_of(convolve_box, *arguments, (0, 0, 0, 0), result)
        _convolve_parts(address, *arguments, parts, result)
    return out
