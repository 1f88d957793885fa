"""`dense_pruned` with Numba: blocks of outputs that keep or drop a feature together."""

import numba
import numpy as np
from numba import njit, prange
from scipy.sparse import issparse

from convgrad.kernels import vector
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_MOST = (0,) * (4 if vector.register_bytes() == 64 else 2)
"""Rows of inputs that go together: times four blocks, 16 sums of 32 registers, or 8 of 16."""
_SMALLEST_PART = 1 << 14
"""Blocks times rows, about 5 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _set_tile(inputs, first, values, columns, begin, end, target, sizes, scratch, result, tile):
    """Set the outputs of a panel for some rows: four blocks at a time, each with its own sums.

    Parameters
    ----------
    inputs : ndarray, 1-D
        Those of the rows lie from ``first`` on, a number of each in turn.
    values, columns : ndarray
        A vector of weights, and a feature; those from ``begin`` to ``end`` are of this panel.
    target : (int, int)
        First row, and first output.
    sizes : (int, int)
        Rows, outputs.
    scratch : ndarray
        Room for the tile.
    """
    lanes, together = vector.width(inputs), len(tile)
    one = vector.zero_tile(inputs, lanes, len(tile))
    two, three, four = one, one, one
    for i in range(0, (end - begin) // 4 * 4, 4):
        at = begin + i
        x = vector.broadcast_tile(inputs, first + columns[at] * together, 1, lanes, len(tile))
        one = vector.add_outer(one, x, vector.load_tile(values, at * lanes, lanes, lanes, 1))
        at += 1
        x = vector.broadcast_tile(inputs, first + columns[at] * together, 1, lanes, len(tile))
        two = vector.add_outer(two, x, vector.load_tile(values, at * lanes, lanes, lanes, 1))
        at += 1
        x = vector.broadcast_tile(inputs, first + columns[at] * together, 1, lanes, len(tile))
        three = vector.add_outer(three, x, vector.load_tile(values, at * lanes, lanes, lanes, 1))
        at += 1
        x = vector.broadcast_tile(inputs, first + columns[at] * together, 1, lanes, len(tile))
        four = vector.add_outer(four, x, vector.load_tile(values, at * lanes, lanes, lanes, 1))
    for i in range((end - begin) % 4):
        at = end - 1 - i
        x = vector.broadcast_tile(inputs, first + columns[at] * together, 1, lanes, len(tile))
        one = vector.add_outer(one, x, vector.load_tile(values, at * lanes, lanes, lanes, 1))
    sums = vector.add_tiles(vector.add_tiles(one, two), vector.add_tiles(three, four))
    (row, output), (rows, outputs) = target, sizes
    count, left = min(together, rows - row), min(lanes, outputs - output)
    if left == lanes:
        vector.store_rows(result, row * outputs + output, outputs, sums, 1, count)
        return
    vector.store_tile(scratch, 0, lanes, sums)
    for i in range(count):
        for j in range(left):
            result[(row + i) * outputs + output + j] = scratch[i * lanes + j]


@njit(cache=True)
def _set_panels(packed, form, sizes, panels, result):
    values, columns, starts = form
    tiles, features, together = packed.shape
    lanes, flat = vector.width(packed), packed.reshape(-1)
    scratch = np.empty(together * lanes, packed.dtype)
    for panel in range(panels[0], panels[1]):
        begin, end = np.int64(starts[panel]), np.int64(starts[panel + 1])
        for tile in range(tiles):
            target = tile * together, panel * lanes
            own = flat, target[0] * features, values, columns, begin, end, target, sizes
            if together == 1:
                _set_tile(*own, scratch, result, (0,))
            else:
                _set_tile(*own, scratch, result, _MOST)


@njit(cache=True, parallel=True)
def _set_panels_shared(packed, form, sizes, parts, shares, result):
    for part in prange(parts):
        own = np.int64(shares[part]), np.int64(shares[part + 1])
        _set_panels(packed, form, sizes, own, result)


def pack(weights):
    """Blocks that are not all zero, panel by panel, their features, and where panels begin."""
    weights = weights.toarray() if issparse(weights) else weights
    outputs, features = weights.shape
    lanes = vector.lanes_of(weights.dtype)
    panels = np.pad(weights, [(0, -outputs % lanes), (0, 0)]).reshape(-1, lanes, features)
    panel, columns = np.nonzero(panels.any(axis=1))
    starts = np.concatenate([[0], np.cumsum(np.bincount(panel, minlength=len(panels)))])
    return panels[panel, :, columns].ravel(), columns.astype(np.int32), starts


def _run(inputs, form, outputs, out):
    (batch, features), starts = inputs.shape, form[2]
    if out is None:
        out = np.empty((batch, outputs), inputs.dtype)
    together = 1 if batch == 1 else len(_MOST)
    rows = np.pad(inputs, [(0, -batch % together), (0, 0)]) if batch > 1 else plain(inputs)
    packed = np.ascontiguousarray(rows.reshape(-1, together, features).swapaxes(1, 2))
    parts = int(starts[-1]) * batch // _SMALLEST_PART
    parts = max(min(parts, numba.get_num_threads(), len(starts) - 1), 1)
    arguments = packed, form, (batch, outputs)
    if parts == 1:
        _set_panels(*arguments, (0, len(starts) - 1), out.reshape(-1))
    else:  # Parts have about as many blocks each.
        shares = np.searchsorted(starts, np.arange(parts + 1) * int(starts[-1]) / parts)
        shares[-1] = len(starts) - 1
        _set_panels_shared(*arguments, parts, shares, out.reshape(-1))
    return out


def _keep(weights):
    form, outputs = pack(weights), weights.shape[0]
    return lambda inputs, out=None: _run(inputs, form, outputs, out)


def _workspace(inputs, weights):
    """All weights, with outputs that fill a panel, twice; a feature of each block; the inputs."""
    lanes = vector.lanes_of(weights.dtype)
    outputs = -(-len(weights) // lanes) * lanes
    blocks = outputs // lanes * weights.shape[1]
    rows = (len(inputs) + len(_MOST)) * inputs.shape[1]
    return 2 * (outputs * weights.shape[1] + rows) * weights.itemsize + 21 * blocks


@kernel("dense_pruned", family="numba", workspace=_workspace, prepare=_keep)
def numba_blocks(inputs, weights, *, out=None):
    """Blocks of one vector of outputs x 1 feature, kept where one of their weights is not zero.

    Block compressed rows (Im and Yelick, 1999) with outputs as lanes: a block takes one load, a
    feature, and for each row of inputs a broadcast and a multiply-add; four blocks at a time, of
    4 rows (2 on 16 registers), hide the latency. Without a pattern most blocks are kept: 82 % of
    16 at 90 % zeros. Where pruning drops whole blocks, as many flops and bytes as there are
    weights, and a place for 16 of them. Sums run in a fixed order. For pruning by blocks.
    """
    return _run(inputs, pack(weights), len(weights), out)
