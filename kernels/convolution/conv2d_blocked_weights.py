"""Filters packed for ``conv2d_blocked``: what a tile reads of its weights is one run of memory."""

from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np
from numba import njit, prange

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
    """Of shape (filters, channels, taps); empty where they are packed."""


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
def filter_bounds(count, dtype):
    """First filter of each block, and at last the number of all, idle lanes too.

    Blocks are as equal as can be. Their number is even, so that threads can share them, unless that
    would leave single vectors.
    """
    lanes, vectors = vector.lanes_of(dtype), block_count(count, dtype)
    blocks = block_count(count, dtype, VECTORS)
    if VECTORS > 2 and blocks > 1:
        blocks += blocks % 2
    bounds = np.arange(blocks + 1) * vectors // blocks * lanes
    bounds[-1] = _filled(count, dtype)
    return bounds


def packed_elements(count, own, dtype):
    """Elements of filters with ``own`` weights each, once they are packed."""
    return _filled(count, dtype) * own


def given(filters):
    """`Weights` of filters (filters, channels, height, width), to be packed where they are used."""
    return Weights(np.empty(0, filters.dtype), plain(filters).reshape(*filters.shape[:2], -1))


def pack(weights):
    """Pack filters: blocks of them, channels, taps, filters.

    Of channels a vector goes together: its taps one after another, the channels of each.
    """
    filters = weights.filters
    count, channels, taps = filters.shape
    bounds, own = filter_bounds(count, filters.dtype), channels * taps
    packed = np.empty(packed_elements(count, own, filters.dtype), filters.dtype)
    address = address_of_packing(weights)
    if numba.get_num_threads() > 1 and packed.size >= SMALLEST_COPY:
        _pack_shared(address, filters, bounds, packed)
    else:
        groups = 0, block_count(channels, filters.dtype)
        for block in zip(bounds[:-1].tolist(), bounds[1:].tolist()):
            _pack_groups(filters, block, groups, block[0] * own, packed)
    return Weights(packed, filters[:0])


def address_of_packing(weights):
    """Address of `_pack_groups`, which packs a block of filters."""
    return address_of(_pack_groups, weights.filters, (0, 0), (0, 0), 0, weights.packed)


def pack_turned(filters, taps):
    """As `pack`, with some of the taps, and channels and filters exchanged."""
    channels, count = filters.shape[:2]
    filters = plain(filters).reshape(channels, count, -1)
    packed = np.empty(packed_elements(count, channels * taps.size, filters.dtype), filters.dtype)
    _pack_turned(filters, taps, filter_bounds(count, filters.dtype), packed)
    return Weights(packed, filters[:0])


@njit(cache=True)
def _store_row(packed, at, row, width):
    """Store a vector, or the first half of one."""
    if width == vector.width(packed):
        vector.store(packed, at, row)
    else:
        vector.store_first(packed, at, row, width)


@njit(cache=True)
def _load_square(flat, at, pitch, rows, some, lines):
    """Turn round some elements of ``rows`` rows, a vector of each at most."""
    lanes = vector.width(flat)
    if rows == lanes == some:
        return vector.transpose(vector.load_tile(flat, at, pitch, lanes, lanes))
    for i in range(rows):
        line = vector.load_first(flat, at + i * pitch, lanes, some)
        vector.store(lines, i * lanes, line)
    return vector.transpose(vector.load_tile(lines, 0, lanes, lanes, lanes))


@njit(cache=True, parallel=True)
def _pack_shared(pack_groups, filters, bounds, packed):
    groups, own = -(-filters.shape[1] // vector.width(filters)), filters.shape[1] * filters.shape[2]
    for part in prange((len(bounds) - 1) * _PARTS):
        number, share = np.int64(part) // _PARTS, np.int64(part) % _PARTS
        some = share * groups // _PARTS, (share + 1) * groups // _PARTS
        block = bounds[number], bounds[number + 1]
        call(pack_groups, (filters, block, some, block[0] * own, packed))


@njit(cache=True)
def _pack_groups(filters, block, groups, start, packed):
    """Pack some vectors of channels of a block of filters, which begins at ``start``."""
    lanes = vector.width(filters)
    count, channels, taps = filters.shape
    flat, own = filters.reshape(-1), channels * taps
    first, end = block
    step = end - first
    lines = np.zeros(lanes * lanes, filters.dtype)
    squares = np.empty((taps + 1) * lanes * lanes, filters.dtype)
    for group in range(groups[0], groups[1]):
        begin = group * lanes * taps
        deep = min(lanes, channels - group * lanes)
        for number in range(first, end, lanes):
            rows, width = min(lanes, count - number), min(lanes, end - number)
            # What comes next: the same channels of other filters, or the next of these.
            last = number + lanes >= end
            ahead = (first - number) * own + lanes * taps if last else lanes * own
            for i in range(0, deep * taps, lanes):
                at, some = number * own + begin + i, min(lanes, deep * taps - i)
                for j in range(lanes):
                    vector.prefetch(flat, at + ahead + j * own, 2)
                tile = _load_square(flat, at, own, rows, some, lines)
                vector.store_tile(squares, i * lanes, lanes, tile)
            # In the order of what is written: taps of a channel lie 4 KB apart there.
            to = start + begin * step + number - first
            for tap in range(taps):
                for channel in range(deep):
                    row = vector.load(squares, (channel * taps + tap) * lanes, lanes)
                    _store_row(packed, to, row, width)
                    to += step


@njit(cache=True, parallel=True)
def _pack_turned(filters, taps, bounds, packed):
    for number in prange(-(-bounds[-1] // vector.width(filters))):
        _pack_turned_vector(filters, taps, np.int64(number), bounds, packed)


@njit(cache=True)
def _pack_turned_vector(filters, taps, number, bounds, packed):
    """Set the weights of a vector of filters for `pack_turned`."""
    lanes = vector.width(filters)
    channels, count, all_taps = filters.shape
    flat, own = filters.reshape(-1), channels * len(taps)
    begin, block = number * lanes, 0
    while bounds[block + 1] <= begin:
        block += 1
    first, end = bounds[block], bounds[block + 1]
    step, width = end - first, min(lanes, end - begin)
    lines = np.zeros(lanes * lanes, filters.dtype)
    squares = np.empty((all_taps + lanes) * lanes, filters.dtype)
    at, rows = first * own + begin - first, min(lanes, count - begin)
    for channel in range(channels):
        seen = (channel * count + begin) * all_taps
        for tap in range(0, all_taps, lanes):
            some = min(lanes, all_taps - tap)
            tile = _load_square(flat, seen + tap, all_taps, rows, some, lines)
            vector.store_tile(squares, tap * lanes, lanes, tile)
        group = channel // lanes * lanes
        deep = min(lanes, channels - group)
        for place in range(len(taps)):
            row = vector.load(squares, taps[place] * lanes, lanes)
            to = group * len(taps) + place * deep + channel - group
            _store_row(packed, at + to * step, row, width)
