"""`dense_pruned` with Numba: compressed sparse rows, rows of inputs as lanes."""

import numba
import numpy as np
from numba import njit, prange
from scipy.sparse import csr_array

from convgrad.kernels import vector
from convgrad.kernels.registry import kernel

_VECTORS = 4 if vector.register_bytes() == 64 else 2
_MANY = (0,) * _VECTORS
"""Vectors of rows that go together: times four weights, 16 sums of 32 registers, or 8 of 16."""
_FEW = 4
"""Lanes where there are no more rows: the inputs of a row are read at random, and stay in L1."""
_SMALLEST_PART = 1 << 14
"""Weights times vectors, about 5 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _set_output(inputs, place, pitch, values, columns, begin, end, result, to, lanes, vectors):
    """Set one output for some rows: four weights at a time, each with sums of its own.

    Parameters
    ----------
    inputs, result : ndarray, 1-D
        Of the rows, ``len(lanes) * len(vectors)`` lie side by side, from ``place`` on for the
        first feature, and from ``to`` on for the output.
    pitch : int
        From a feature to the next.
    values, columns : ndarray
        Those from ``begin`` to ``end`` are of this output.
    """
    wide = len(lanes)
    first = vector.zero_tile(inputs, wide, len(vectors))
    second, third, fourth = first, first, first
    for i in range(0, (end - begin) // 4 * 4, 4):
        at = begin + i
        w = vector.broadcast_tile(values, at, 1, wide, 1)
        x = vector.load_tile(inputs, place + columns[at] * pitch, wide, wide, len(vectors))
        first = vector.add_outer(first, w, x)
        w = vector.broadcast_tile(values, at + 1, 1, wide, 1)
        x = vector.load_tile(inputs, place + columns[at + 1] * pitch, wide, wide, len(vectors))
        second = vector.add_outer(second, w, x)
        w = vector.broadcast_tile(values, at + 2, 1, wide, 1)
        x = vector.load_tile(inputs, place + columns[at + 2] * pitch, wide, wide, len(vectors))
        third = vector.add_outer(third, w, x)
        w = vector.broadcast_tile(values, at + 3, 1, wide, 1)
        x = vector.load_tile(inputs, place + columns[at + 3] * pitch, wide, wide, len(vectors))
        fourth = vector.add_outer(fourth, w, x)
    for i in range((end - begin) % 4):
        at = end - 1 - i
        w = vector.broadcast_tile(values, at, 1, wide, 1)
        x = vector.load_tile(inputs, place + columns[at] * pitch, wide, wide, len(vectors))
        first = vector.add_outer(first, w, x)
    sums = vector.add_tiles(vector.add_tiles(first, second), vector.add_tiles(third, fourth))
    vector.store_tile(result, to, wide, sums)


@njit(cache=True)
def _set_outputs(inputs, form, outputs, result, lanes, vectors):
    values, columns, starts = form
    pitch, together = inputs.shape[1], len(lanes) * len(vectors)
    flat, target = inputs.reshape(-1), result.reshape(-1)
    for output in range(outputs[0], outputs[1]):
        own = values, columns, np.int64(starts[output]), np.int64(starts[output + 1]), target
        for place in range(0, pitch, together):
            _set_output(flat, place, pitch, *own, output * pitch + place, lanes, vectors)


@njit(cache=True, parallel=True)
def _set_outputs_shared(inputs, form, parts, shares, result, lanes, vectors):
    for part in prange(parts):
        own = np.int64(shares[part]), np.int64(shares[part + 1])
        _set_outputs(inputs, form, own, result, lanes, vectors)


def pack(weights):
    """Values and columns of the weights that are left, by rows, and where each row begins."""
    rows = csr_array(weights)
    return rows.data, rows.indices, rows.indptr


def _run(inputs, form, out):
    (batch, features), starts = inputs.shape, form[2]
    outputs = len(starts) - 1
    wide = vector.lanes_of(inputs.dtype)
    lanes = (0,) * (_FEW if batch <= _FEW else wide)
    vectors = _MANY if batch > wide else (0,)
    together = len(lanes) * len(vectors)
    turned = np.zeros((features, -(-batch // together) * together), inputs.dtype)
    turned[:, :batch] = inputs.T
    result = np.empty((outputs, turned.shape[1]), inputs.dtype)
    work = int(starts[-1]) * turned.shape[1] // len(lanes)
    parts = max(min(work // _SMALLEST_PART, numba.get_num_threads()), 1)
    if parts == 1:
        _set_outputs(turned, form, (0, outputs), result, lanes, vectors)
    else:  # Parts have about as many weights each.
        shares = np.searchsorted(starts, np.arange(parts + 1) * int(starts[-1]) / parts)
        shares[-1] = outputs
        _set_outputs_shared(turned, form, parts, shares, result, lanes, vectors)
    if out is None:
        out = np.empty((batch, outputs), inputs.dtype)
    out[...] = result[:, :batch].T
    return out


def _keep(weights):
    form = pack(weights)
    return lambda inputs, out=None: _run(inputs, form, out)


def _workspace(inputs, weights):
    """Value, row and column of each weight, if none is zero; inputs and result turned round."""
    most = _VECTORS * vector.lanes_of(inputs.dtype)
    rows = -(-len(inputs) // most) * most
    turned = rows * (inputs.shape[1] + len(weights)) * inputs.itemsize
    return weights.size * (weights.itemsize + 20) + 16 * len(weights) + turned


@kernel("dense_pruned", family="numba", workspace=_workspace, prepare=_keep)
def numba_csr(inputs, weights, *, out=None):
    """Compressed sparse rows, with rows of inputs as lanes: nothing is gathered.

    Inputs are turned round, so that all rows of a feature lie together (Yang, Buluc and Owens,
    2018): a weight that is left takes its value, its column and, for each vector of rows, one
    load and one multiply-add; four weights at a time hide the latency. 2 flops a weight and row,
    8 bytes a weight in float32. Sums run in a fixed order; parts have as many weights. Few rows
    use few of the lanes and cost the same, about a cycle a weight. For sparsity without a pattern.
    """
    return _run(inputs, pack(weights), out)
