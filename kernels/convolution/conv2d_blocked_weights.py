"""Filters packed for ``conv2d_blocked``: what a tile reads of its weights is one run of memory."""

from math import prod

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


def filter_blocks(count, dtype):
    """Blocks of filters, as equal as can be.

    Their number is even, so that threads can share them, unless that would leave single vectors.
    """
    blocks = block_count(count, dtype, VECTORS)
    return blocks + blocks % 2 if VECTORS > 2 and blocks > 1 else blocks


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


def packed_elements(count, own, dtype):
    """Elements of filters with ``own`` weights each, once they are packed."""
    return _filled(count, dtype) * own


def pack(filters):
    """Pack filters (filters, channels, height, width): blocks of them, channels, taps, filters.

    Of channels a vector goes together: its taps one after another, the channels of each.
    """
    count, channels, *taps = filters.shape
    filled, own = _filled(count, filters.dtype), channels * prod(taps)
    weights = np.empty(packed_elements(count, own, filters.dtype), filters.dtype)
    blocks = filter_blocks(count, filters.dtype)
    filters = plain(filters).reshape(count, channels, -1)
    if numba.get_num_threads() > 1 and weights.size >= SMALLEST_COPY:
        pack_groups = address_of(_pack_groups, filters, 0, (0, 0), filled, blocks, weights)
        _pack_shared(pack_groups, filters, filled, blocks, weights)
    else:
        _pack(filters, filled, blocks, weights)
    return weights


def pack_turned(filters, taps):
    """As `pack`, with some of the taps, and channels and filters exchanged."""
    channels, count = filters.shape[:2]
    weights = np.empty(packed_elements(count, channels * taps.size, filters.dtype), filters.dtype)
    filled, blocks = _filled(count, filters.dtype), filter_blocks(count, filters.dtype)
    _pack_turned(plain(filters).reshape(channels, count, -1), taps, filled, blocks, weights)
    return weights


@njit(cache=True)
def _ends(block, filled, blocks, lanes):
    """First filter of a block, and the one after the last, idle ones too."""
    vectors = (filled + lanes - 1) // lanes
    first, end = block * vectors // blocks, (block + 1) * vectors // blocks
    return first * lanes, min(end * lanes, filled)


@njit(cache=True)
def _store_row(weights, at, row, width):
    """Store a vector, or the first half of one."""
    if width == vector.width(weights):
        vector.store(weights, at, row)
    else:
        vector.store_first(weights, at, row, width)


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


@njit(cache=True)
def _pack(filters, filled, blocks, weights):
    groups = -(-filters.shape[1] // vector.width(filters))
    for block in range(blocks):
        _pack_groups(filters, np.int64(block), (0, groups), filled, blocks, weights)


@njit(cache=True, parallel=True)
def _pack_shared(pack_groups, filters, filled, blocks, weights):
    groups = -(-filters.shape[1] // vector.width(filters))
    for part in prange(blocks * _PARTS):
        block, share = np.int64(part) // _PARTS, np.int64(part) % _PARTS
        own = share * groups // _PARTS, (share + 1) * groups // _PARTS
        call(pack_groups, (filters, block, own, filled, blocks, weights))


@njit(cache=True)
def _pack_groups(filters, block, groups, filled, blocks, weights):
    """Set the weights of a block of filters, of some vectors of channels."""
    lanes = vector.width(filters)
    count, channels, taps = filters.shape
    flat, own = filters.reshape(-1), channels * taps
    first, end = _ends(block, filled, blocks, lanes)
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
            to = first * own + begin * step + number - first
            for tap in range(taps):
                for channel in range(deep):
                    row = vector.load(squares, (channel * taps + tap) * lanes, lanes)
                    _store_row(weights, to, row, width)
                    to += step


@njit(cache=True, parallel=True)
def _pack_turned(filters, taps, filled, blocks, weights):
    for number in prange(-(-filled // vector.width(filters))):
        _pack_turned_vector(filters, taps, np.int64(number), filled, blocks, weights)


@njit(cache=True)
def _pack_turned_vector(filters, taps, number, filled, blocks, weights):
    """Set the weights of a vector of filters for `pack_turned`."""
    lanes = vector.width(filters)
    channels, count, all_taps = filters.shape
    flat, own = filters.reshape(-1), channels * len(taps)
    vectors, begin = (filled + lanes - 1) // lanes, number * lanes
    first, end = _ends(((number + 1) * blocks - 1) // vectors, filled, blocks, lanes)
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
            _store_row(weights, at + to * step, row, width)
