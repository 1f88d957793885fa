"""`dense` with Numba: rows of weights against rows of inputs, read once."""

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_ROWS = 4
"""Rows of weights whose sums go on side by side: as many as hide the wait for an addition."""
_SMALLEST_PART = 1 << 15
"""Multiply-adds, about 5 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _set_outputs(inputs, weights, shape, tiles, result):
    """Set the outputs of some tiles of `_ROWS` rows of weights; the last may overlap another.

    Parameters
    ----------
    inputs, weights, result : ndarray, 1-D
    shape : (int, int, int)
        Rows of inputs, features, outputs.
    tiles : (int, int)
        The first, and the one after the last.
    """
    batch, features, outputs = shape
    lanes, whole = vector.width(inputs), features // vector.width(inputs) * vector.width(inputs)
    pitch, used = (features, _ROWS) if outputs >= _ROWS else (0, 1)
    for tile in range(tiles[0], tiles[1]):
        output = min(tile * used, outputs - used)
        first = output * features
        for row in range(batch):
            start = row * features
            total = vector.zero_tile(inputs, lanes, _ROWS)
            for at in range(0, whole, lanes):
                x = vector.load_tile(inputs, start + at, 0, lanes, 1)
                w = vector.load_tile(weights, first + at, pitch, lanes, _ROWS)
                total = vector.add_outer(total, w, x)
            if whole < features:
                left = features - whole
                x = vector.load_rows(inputs, start + whole, 0, lanes, 1, 1, left)
                w = vector.load_rows(weights, first + whole, pitch, lanes, _ROWS, 1, left)
                total = vector.add_outer(total, w, x)
            place = row * outputs + output
            vector.store_first(result, place, vector.totals(total), used)


@njit(cache=True, parallel=True)
def _set_outputs_shared(inputs, weights, shape, tiles, parts, result):
    for part in prange(parts):
        own = np.int64(part) * tiles // parts, (np.int64(part) + 1) * tiles // parts
        _set_outputs(inputs, weights, shape, own, result)


@kernel("dense", family="numba")
def numba_rows(inputs, weights, *, out=None):
    """Sums of 4 rows of weights in registers, a row of inputs after the other.

    Weights are read from memory once, and from cache for every further row of inputs: as many
    flops as the definition, two loads for two multiply-adds. Sums run in a fixed order. Work is
    split over outputs. For few rows of inputs, where reading the weights is all the time.
    """
    shape = *inputs.shape, len(weights)
    if out is None:
        out = np.empty((shape[0], shape[2]), inputs.dtype)
    flat = [plain(array).reshape(-1) for array in (inputs, weights)]
    used = _ROWS if shape[2] >= _ROWS else 1
    tiles = -(-shape[2] // used)
    work = shape[0] * weights.size
    parts = max(min(work // _SMALLEST_PART, numba.get_num_threads(), tiles), 1)
    if parts == 1:
        _set_outputs(*flat, shape, (0, tiles), out.reshape(-1))
    else:
        _set_outputs_shared(*flat, shape, tiles, parts, out.reshape(-1))
    return out
