"""Filters packed for ``conv2d_blocked``: what a tile reads of its weights is one run of memory."""

from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_blocked_layout import SMALLEST_COPY, block_count
from convgrad.kernels.validation import plain

VECTORS = 4 if vector.register_bytes() == 64 else 2
"""Of filters in a block, at most."""

_PARTS = 2
"""Of a block, packed by a thread each."""


class Weights(NamedTuple):
    """Filters packed as tiles read them, or as they are given: to be packed where they are used."""

    packed: np.ndarray
    """Empty where filters are given."""
    filters: np.ndarray
    """Of shape (filters, channels, taps), or turned (channels, filters, taps); empty if packed."""
    turned: np.ndarray
    """Taps that are packed of turned filters; empty for others, of which all are."""


def halves(count, dtype):
    """Half vectors in a row of filters: 1 if the last of them fit in one, else 0.

    Where registers have 512 bits: some processors take these in two turns, a half in one.
    """
    lanes = vector.lanes_of(dtype)
    return int(vector.register_bytes() == 64 and 0 < count % lanes <= lanes // 2)


def _filled(count, dtype):
    """Filters, and lanes that are left idle beside them."""
    lanes = vector.lanes_of(dtype)
    return block_count(count, dtype) * lanes - halves(count, dtype) * lanes // 2


@lru_cache
def filter_bounds(count, dtype, least=1):
    """First filter of each block, and at last the number of all, idle lanes too.

    Blocks are as equal as can be. Their number is even, so that threads can share them, unless that
    would leave single vectors; it is at least ``least`` if there are as many vectors.
    """
    lanes, vectors = vector.lanes_of(dtype), block_count(count, dtype)
    blocks = block_count(count, dtype, VECTORS)
    if VECTORS > 2 and blocks > 1:
        blocks += blocks % 2
    blocks = max(blocks, min(least, vectors))
    bounds = np.arange(blocks + 1) * vectors // blocks * lanes
    bounds[-1] = _filled(count, dtype)
    return bounds


def given(filters, turned=()):
    """`Weights` of filters with rows and columns of taps, to be packed where they are used."""
    flat = plain(filters).reshape(*filters.shape[:2], -1)
    return Weights(np.empty(0, filters.dtype), flat, np.array(turned, np.int64))


def pack(weights):
    """Pack filters: blocks of them, channels, taps, filters."""
    filters, turned = weights.filters, weights.turned
    count, channels, taps = filters.shape
    if turned.size:
        count, channels, taps = channels, count, turned.size
    bounds, own = filter_bounds(count, filters.dtype), channels * taps
    packed = np.empty(bounds[-1] * own, filters.dtype)
    groups, address = block_count(channels, filters.dtype), address_of_packing(weights)
    if numba.get_num_threads() > 1 and packed.size >= SMALLEST_COPY:
        _pack_shared(address, filters, turned, bounds, own, groups, packed)
    else:
        some = _pack_turned if turned.size else _pack_groups
        for block in zip(bounds[:-1].tolist(), bounds[1:].tolist()):
            some(filters, turned, block, (0, groups), block[0] * own, packed)
    return Weights(packed, filters[:0], turned[:0])


def address_of_packing(weights):
    """Address of what packs some channels of a block of filters."""
    packed, filters, turned = weights
    some = _pack_turned if turned.size else _pack_groups
    return address_of(some, filters, turned, (0, 0), (0, 0), 0, packed)


@register_jitable(forceinline=True)
def _store_row(packed, at, row, width):
    """Store a vector, or the first half of one."""
    if width == vector.width(packed):
        vector.store(packed, at, row)
    else:
        vector.store_first(packed, at, row, width)


@register_jitable(forceinline=True)
def _load_square(flat, at, pitch, rows, some, lines):
    """Turn round some elements of ``rows`` rows, a vector of each at most; others are anything."""
    lanes = vector.width(flat)
    if rows == lanes and at + (lanes - 1) * pitch + lanes <= flat.size:
        return vector.transpose(vector.load_tile(flat, at, pitch, lanes, lanes))
    for i in range(rows):
        line = vector.load_first(flat, at + i * pitch, lanes, some)
        vector.store(lines, i * lanes, line)
    return vector.transpose(vector.load_tile(lines, 0, lanes, lanes, lanes))


@njit(cache=True, parallel=True)
def _pack_shared(pack_groups, filters, turned, bounds, own, groups, packed):
    for part in prange((len(bounds) - 1) * _PARTS):
        number, share = np.int64(part) // _PARTS, np.int64(part) % _PARTS
        some = share * groups // _PARTS, (share + 1) * groups // _PARTS
        block = bounds[number], bounds[number + 1]
        call(pack_groups, (filters, turned, block, some, block[0] * own, packed))


@njit(cache=True)
def _pack_groups(filters, _, block, groups, start, packed):
    """Pack some vectors of channels of a block of filters, which begins at ``start``."""
    lanes = vector.width(filters)
    count, channels, taps = filters.shape
    flat, own = filters.reshape(-1), channels * taps
    first, end = block
    step = end - first
    lines = np.zeros(lanes * lanes, filters.dtype)
    square = np.empty(lanes * lanes, filters.dtype)
    begin, last = groups[0] * lanes * taps, min(groups[1] * lanes, channels) * taps
    for number in range(first, end, lanes):
        rows, width = min(lanes, count - number), min(lanes, end - number)
        for i in range(begin, last, lanes):
            some = min(lanes, last - i)
            tile = _load_square(flat, number * own + i, own, rows, some, lines)
            to = start + i * step + number - first
            if width == lanes == some:
                vector.store_tile(packed, to, step, tile)
            else:
                vector.store_tile(square, 0, lanes, tile)
                for j in range(some):
                    _store_row(packed, to + j * step, vector.load(square, j * lanes, lanes), width)


@njit(cache=True)
def _pack_turned(filters, taps, block, groups, start, packed):
    """As `_pack_groups`, with some of the taps, and channels and filters exchanged."""
    lanes = vector.width(filters)
    channels, count, all_taps = filters.shape
    flat, (first, end) = filters.reshape(-1), block
    step = end - first
    lines = np.zeros(lanes * lanes, filters.dtype)
    squares = np.empty((all_taps + lanes) * lanes, filters.dtype)
    for channel in range(groups[0] * lanes, min(groups[1] * lanes, channels)):
        for number in range(first, end, lanes):
            rows, width = min(lanes, count - number), min(lanes, end - number)
            seen = (channel * count + number) * all_taps
            to = start + channel * len(taps) * step + number - first
            if all_taps == 1:
                _store_row(packed, to, vector.load_first(flat, seen, lanes, rows), width)
                continue
            for tap in range(0, all_taps, lanes):
                some = min(lanes, all_taps - tap)
                tile = _load_square(flat, seen + tap, all_taps, rows, some, lines)
                vector.store_tile(squares, tap * lanes, lanes, tile)
            for place in range(len(taps)):
                row = vector.load(squares, taps[place] * lanes, lanes)
                _store_row(packed, to + place * step, row, width)
