"""`dense_quantised` with Numba: levels become floats in registers, so that bytes are read."""

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.products.quantised_levels import MOST, group_size, quantise_weights
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

VECTORS = 2
"""Of outputs in a panel; with 4 bits, one in each half of a byte."""
_MOST = (0,) * (8 if vector.register_bytes() == 64 else 4)
"""Rows of inputs that go together: with two vectors, 16 sums of 32 registers, or 8 of 16."""
_SOME = (0,) * (len(_MOST) // 2)
_SMALLEST_PART = 1 << 17
"""Multiply-adds, about 5 us of work: less is not worth waking a thread."""


@njit(cache=True)
def interleave(inputs, packed):
    """Copy rows so that a number of each of those that go together is side by side; zeros last."""
    tiles, features, together = packed.shape
    for tile in range(tiles):
        for i in range(together):
            row = tile * together + i
            for feature in range(features):
                packed[tile, feature, i] = inputs[row, feature] if row < len(inputs) else 0


@njit(cache=True)
def _set_tile(inputs, first, levels, scales, panel, sizes, target, scratch, result, tile, vectors):
    """Set the outputs of a panel for some rows, in a tile of two vectors a row.

    ``tile`` and ``vectors`` are tuples, as long as there are rows, and vectors of sums.

    Parameters
    ----------
    inputs : ndarray, 1-D
        Those of the rows lie from ``first`` on, a number of each in turn.
    levels, scales : ndarray, shape (panels, features, bytes), (panels, groups, outputs)
    panel : int
    sizes : (int, int, int)
        Features, features of a group, outputs.
    target : (int, int)
        First row and how many are wanted.
    scratch : ndarray
        Room for the tile.
    """
    lanes = vector.width(inputs)
    features, group, outputs = sizes
    pitch, groups = levels.shape[2], scales.shape[1]
    flat, factors, together = levels.reshape(-1), scales.reshape(-1), len(tile)
    total = vector.zero_tile(inputs, lanes, len(vectors))
    for number in range(groups):
        sums = vector.zero_tile(inputs, lanes, len(vectors))
        begin = number * group
        at = (panel * features + begin) * pitch
        here = first + begin * together
        for feature in range(min(group, features - begin)):
            own = vector.load_levels(flat, at + feature * pitch, inputs, lanes)
            seen = vector.broadcast_tile(inputs, here + feature * together, 1, lanes, len(tile))
            sums = vector.add_outer(sums, seen, own)
        place = (panel * groups + number) * 2 * lanes
        scale = vector.load_tile(factors, place, lanes, lanes, 2)
        total = vector.add_products(total, sums, vector.repeat(scale, len(tile)))
    row, count = target
    place, left = panel * 2 * lanes, outputs - panel * 2 * lanes
    if left >= 2 * lanes:
        vector.store_rows(result, row * outputs + place, outputs, total, 2, count)
        return
    vector.store_tile(scratch, 0, lanes, total)
    for i in range(count):
        for j in range(left):
            result[(row + i) * outputs + place + j] = scratch[i * 2 * lanes + j]


@njit(cache=True)
def _set_panels(packed, levels, scales, sizes, batch, panels, result):
    tiles, features, together = packed.shape
    flat = packed.reshape(-1)
    scratch = np.empty(2 * vector.width(packed) * together, packed.dtype)
    for panel in range(panels[0], panels[1]):
        for tile in range(tiles):
            row = tile * together
            target = row, min(together, batch - row)
            own = flat, row * features, levels, scales, panel, sizes, target, scratch, result
            if together == 1:
                _set_tile(*own, (0,), (0,) + (0,))
            elif together == len(_SOME):
                _set_tile(*own, _SOME, _SOME + _SOME)
            else:
                _set_tile(*own, _MOST, _MOST + _MOST)


@njit(cache=True, parallel=True)
def _set_panels_shared(packed, levels, scales, sizes, batch, parts, result):
    panels = len(levels)
    for part in prange(parts):
        begin, end = np.int64(part) * panels // parts, (np.int64(part) + 1) * panels // parts
        _set_panels(packed, levels, scales, sizes, batch, (begin, end), result)


def rows_together(batch):
    """Rows of inputs that share what is read of the weights."""
    return 1 if batch == 1 else len(_SOME) if batch <= len(_SOME) else len(_MOST)


def _panels(array, dtype):
    """Turn (outputs, n) to (panels, n, outputs of a panel), with zeros for outputs beyond."""
    wide = VECTORS * vector.lanes_of(dtype)
    outputs, count = array.shape
    padded = np.pad(array, [(0, -outputs % wide), (0, 0)])
    return np.ascontiguousarray(padded.reshape(-1, wide, count).transpose(0, 2, 1))


def pack(weights, bits, scale_per):
    """Levels and scales of weights in panels, and the sizes that go with them.

    Levels of 8 bits are int8. Of those of 4 bits, plus 8, two share a byte: of the first and of
    the second vector of a panel.
    """
    levels, scales = quantise_weights(weights, bits, scale_per)
    levels = _panels(np.nan_to_num(levels, copy=False).astype(np.int8, copy=False), weights.dtype)
    if bits == 4:
        low, high = np.split((levels + MOST[4] + 1).astype(np.uint8), 2, axis=2)
        levels = low | high << 4
    outputs, features = weights.shape
    sizes = features, group_size(features, scale_per), outputs
    return levels, _panels(scales, weights.dtype), sizes


def _run(inputs, form, out):
    levels, scales, sizes = form
    batch, features = inputs.shape
    if out is None:
        out = np.empty((batch, sizes[2]), inputs.dtype)
    together = rows_together(batch)
    if together == 1:
        packed = plain(inputs).reshape(1, features, 1)
    else:
        packed = np.empty((-(-batch // together), features, together), inputs.dtype)
        interleave(plain(inputs), packed)
    work = batch * features * sizes[2]
    parts = max(min(work // _SMALLEST_PART, numba.get_num_threads(), len(levels)), 1)
    if parts == 1:
        _set_panels(packed, levels, scales, sizes, batch, (0, len(levels)), out.reshape(-1))
    else:
        _set_panels_shared(packed, levels, scales, sizes, batch, parts, out.reshape(-1))
    return out


def _keep(weights, *, bits, scale_per):
    form = pack(weights, bits, scale_per)
    return lambda inputs, out=None: _run(inputs, form, out)


def _workspace(inputs, weights, *, bits, scale_per):
    """Levels, which are floats before they are packed, scales, and the rows side by side."""
    groups = -(-weights.shape[1] // group_size(weights.shape[1], scale_per))
    floats = weights.size + len(weights) * groups + inputs.size
    return floats * weights.itemsize + weights.size


@kernel("dense_quantised", family="numba", workspace=_workspace, prepare=_keep)
def numba_levels(inputs, weights, *, bits, scale_per, out=None):
    """Levels turned to floats in registers, outputs as lanes, 8 rows of inputs at a time.

    Weights lie in panels of two vectors of outputs, feature by feature, as BLAS packs its own
    (Goto and van de Geijn, 2008): read in order, 1 or 1/2 byte each in place of 4. For every two
    vectors of weights, 2 conversions (4 bits: and 3 operations to take them apart) serve 16
    multiply-adds with rows that lie side by side (4 rows on 16 registers); sums never cross
    lanes, and get their scale once a group. 2 flops a weight and row. Prepared, the floats of the
    weights are not read any more. For few rows, where reading the weights is all the time; from
    about ten rows on it is arithmetic that counts, which stays that of floats.
    """
    return _run(inputs, pack(weights, bits, scale_per), out)
