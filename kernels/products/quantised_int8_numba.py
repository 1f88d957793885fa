"""`dense_int8` with Numba: four products of bytes added to every lane by one instruction."""

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.products.quantised_bytes import OFFSET, find_scale, quantise
from convgrad.kernels.products.quantised_levels import quantise_weights
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

LANES = vector.lanes_of(np.int32)
PANEL = 2 * LANES
"""Outputs that lie together: two vectors of sums."""
_MOST = (0,) * (8 if vector.register_bytes() == 64 else 4)
"""Rows of inputs that go together: with two vectors, 16 sums of 32 registers, or 8 of 16."""
_SOME = (0,) * (len(_MOST) // 2)
_SMALLEST_PART = 1 << 19
"""Products, about 5 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _quantise_rows(inputs, bits, known, packed, scales, own_bits):
    """Set the scales of all rows, and words of four levels, those of a tile's rows side by side."""
    tiles, words, together = packed.shape
    features = inputs.shape[1]
    stored = np.full(4 * words, OFFSET, np.uint8)
    fours = stored.view(np.int32)
    for row in range(len(inputs)):
        find_scale(inputs[row], bits[row], known, scales, own_bits, row)
        quantise(inputs[row], scales[row], stored[:features])
        tile, place = row // together, row % together
        for word in range(words):
            packed[tile, word, place] = fours[word]


@njit(cache=True)
def _set_tile(
    packed, first, form, panel, sizes, target, row_scales, scratch, result, tile, vectors
):
    """Set the outputs of a panel for some rows, in a tile of two vectors a row.

    ``tile`` and ``vectors`` are tuples, as long as there are rows, and vectors of sums.

    Parameters
    ----------
    packed : ndarray of int32, 1-D
        Words of the rows lie from ``first`` on, a word of each in turn.
    form : tuple of ndarray
        From `pack`.
    panel : int
    sizes : (int, int)
        Words of a row, outputs.
    target : (int, int)
        First row, and how many are wanted.
    row_scales : ndarray
    scratch : ndarray
        Room for the tile.
    """
    weights, starts, scales = form
    words, outputs = sizes
    row, count = target
    place = panel * PANEL
    sums = vector.repeat(vector.load_tile(starts, place, LANES, LANES, 2), len(tile))
    at = place * words
    for word in range(words):
        own = vector.load_tile(weights, at + word * PANEL, LANES, LANES, 2)
        seen = vector.broadcast_tile(packed, first + word * len(tile), 1, LANES, len(tile))
        sums = vector.add_dots(sums, seen, own)
    numbers = vector.as_numbers(sums, scales)
    none = vector.zero_tile(scales, LANES, len(vectors))
    by_row = vector.broadcast_tile(row_scales, row, 1, LANES, len(tile))
    factors = vector.add_outer(none, by_row, vector.load_tile(scales, place, LANES, LANES, 2))
    total = vector.add_products(none, numbers, factors)
    left = outputs - place
    if left >= PANEL:
        vector.store_rows(result, row * outputs + place, outputs, total, 2, count)
        return
    vector.store_tile(scratch, 0, LANES, total)
    for i in range(count):
        for j in range(left):
            result[(row + i) * outputs + place + j] = scratch[i * PANEL + j]


@njit(cache=True)
def _set_panels(packed, form, row_scales, sizes, batch, panels, result):
    tiles, words, together = packed.shape
    flat, scratch = packed.reshape(-1), np.empty(together * PANEL, row_scales.dtype)
    for panel in range(panels[0], panels[1]):
        for tile in range(tiles):
            row = tile * together
            target = row, min(together, batch - row)
            own = flat, row * words, form, panel, sizes, target, row_scales, scratch, result
            if together == 1:
                _set_tile(*own, (0,), (0,) + (0,))
            elif together == len(_SOME):
                _set_tile(*own, _SOME, _SOME + _SOME)
            else:
                _set_tile(*own, _MOST, _MOST + _MOST)


@njit(cache=True, parallel=True)
def _set_panels_shared(packed, form, row_scales, sizes, batch, panels, parts, result):
    for part in prange(parts):
        own = np.int64(part) * panels // parts, (np.int64(part) + 1) * panels // parts
        _set_panels(packed, form, row_scales, sizes, batch, own, result)


def pack(weights, scale_per):
    """Keep weights for `_set_panels`.

    Returns
    -------
    weights : ndarray of int32
        Four levels of an output in a word, those of two vectors of outputs side by side.
    starts : ndarray of int32
        What the sums of an output start from, so that the offset of the inputs does not count.
    scales : ndarray
        All of them flat, with zeros for outputs and features that fill a panel or a word.
    """
    levels, scales = quantise_weights(weights, 8, scale_per)
    outputs, features = weights.shape
    more = -outputs % PANEL
    levels = np.pad(
        np.nan_to_num(levels, copy=False).astype(np.int8, copy=False),
        [(0, more), (0, -features % 4)],
    )
    starts = -OFFSET * levels.sum(axis=1, dtype=np.int32)
    words = (
        np.ascontiguousarray(levels)
        .view(np.int32)
        .reshape(-1, PANEL, levels.shape[1] // 4)
        .swapaxes(1, 2)
    )
    return words.ravel(), starts, np.pad(scales[:, 0], (0, more))


def _run(inputs, form, outputs, input_scale, out):
    batch, features = inputs.shape
    if out is None:
        out = np.empty((batch, outputs), inputs.dtype)
    together = 1 if batch == 1 else len(_SOME) if batch <= len(_SOME) else len(_MOST)
    tiles, words, panels = -(-batch // together), -(-features // 4), -(-outputs // PANEL)
    inputs, integers = plain(inputs), f"i{inputs.itemsize}"
    packed = np.empty((tiles, words, together), np.int32)
    scales = np.ones(tiles * together, inputs.dtype)
    known = inputs.dtype.type(input_scale or 0)
    _quantise_rows(inputs, inputs.view(integers), known, packed, scales, scales.view(integers))
    work = batch * features * outputs
    parts = max(min(work // _SMALLEST_PART, numba.get_num_threads(), panels), 1)
    arguments = packed, form, scales, (words, outputs), batch
    if parts == 1:
        _set_panels(*arguments, (0, panels), out.reshape(-1))
    else:
        _set_panels_shared(*arguments, panels, parts, out.reshape(-1))
    return out


def _keep(weights, *, scale_per, input_scale):
    form, outputs = pack(weights, scale_per), len(weights)
    return lambda inputs, out=None: _run(inputs, form, outputs, input_scale, out)


def _workspace(inputs, weights, **_):
    """Levels, as floats and as bytes twice, and the bytes of the inputs."""
    return weights.size * (weights.itemsize + 2) + inputs.size


@kernel("dense_int8", family="numba", algorithm="int8", workspace=_workspace, prepare=_keep)
def numba_bytes(inputs, weights, *, scale_per, input_scale, out=None):
    """Sums of 8 rows x 2 vectors of outputs in registers, four products of bytes in every lane.

    ``vpdpbusd`` (AVX-512 VNNI) does 64 multiply-adds on 64-byte registers, 4 times what floats
    do, and widened products do the same where it is missing. Weights lie in panels of two vectors
    of outputs (Goto and van de Geijn, 2008), four features of each in a word, and are read in
    order, 1 byte each: 2 loads of weights and 8 broadcasts of inputs for 16 instructions (4
    rows on 16 registers). 2 operations a weight and row; the result has 3 roundings, the sums
    none. Prepared, the floats of the weights are not read any more. For a few to some ten rows
    reading the weights is all the time, a quarter of that of floats.
    """
    return _run(inputs, pack(weights, scale_per), len(weights), input_scale, out)
