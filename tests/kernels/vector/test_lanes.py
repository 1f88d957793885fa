"""Lanes that move and meet, against NumPy."""

import numpy as np
import pytest
from numba import njit

from convgrad.kernels import vector


@njit
def _sum_lanes(array, result, lanes, rows):
    tile = vector.load_tile(array, 0, len(lanes), len(lanes), len(rows))
    vector.store_tile(result, 0, len(lanes), vector.sum_lanes(tile))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("rows", [1, 2, 4, 8])
def test_sums_of_lanes_are_in_all_lanes(lanes, rows, dtype):
    array = np.arange(lanes * rows, dtype=dtype) ** 2
    result = np.empty_like(array)
    _sum_lanes(array, result, (0,) * lanes, (0,) * rows)
    sums = array.reshape(rows, lanes).sum(axis=1, keepdims=True)
    assert np.array_equal(result.reshape(rows, lanes), np.broadcast_to(sums, (rows, lanes)))


@njit
def _even_lanes(array, result):
    vector.store_tile(result, 0, 8, vector.even_lanes(vector.load_tile(array, 0, 8, 8, 4)))


def test_lanes_of_even_number_are_taken(numbers):
    array, result = numbers(32), np.empty(16, np.float32)
    _even_lanes(array, result)
    assert np.array_equal(result, array[::2])


@njit
def _totals(array, result):
    vector.store(result, 0, vector.totals(vector.load_tile(array, 0, 8, 8, 4)))


def test_lanes_are_summed(numbers):
    array, result = numbers(32), np.empty(4, np.float32)
    _totals(array, result)
    assert np.allclose(result, array.reshape(4, 8).sum(axis=1), rtol=1e-5, atol=1e-5)


@njit
def _join(array, result, first, lanes):
    low, high = vector.load(array, 0, len(lanes)), vector.load(array, len(lanes), len(lanes))
    vector.store(result, 0, vector.join(low, high, first))


@pytest.mark.parametrize(("dtype", "lanes"), [("float32", 16), ("float32", 4), ("float64", 8)])
def test_vectors_are_joined(numbers, dtype, lanes):
    array, result = numbers(2 * lanes, dtype), np.empty(lanes, dtype)
    for first in range(lanes + 1):
        _join(array, result, first, (0,) * lanes)
        assert np.array_equal(result, array[first : first + lanes])


@njit
def _transpose(array, result):
    lanes = vector.width(array)
    tile = vector.load_tile(array, 0, lanes, lanes, vector.width(array))
    vector.store_tile(result, 0, lanes, vector.transpose(tile))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_square_is_turned_round(numbers, dtype):
    lanes = vector.lanes_of(dtype)
    square, result = numbers((lanes, lanes), dtype), np.empty((lanes, lanes), dtype)
    _transpose(square, result)
    assert np.array_equal(result, square.T)


@njit
def _roll(array, tall, wide, result):
    rows, columns, count = vector.sides(tall, wide)
    tile = vector.move_up(vector.load_tile(array, 0, 8, 8, count), columns)
    vector.store_tile(result, 0, 8, tile)
    vector.store_tile(result, 48, 8, vector.first_row(tile, columns))
    result[-1] = rows


def test_rows_of_a_tile_move_up(numbers):
    array, result = numbers(48), np.empty(65, np.float32)
    _roll(array, (0,) * 3, (0,) * 2, result)
    assert np.array_equal(result[:32], array[16:])
    assert not result[32:48].any()
    assert np.array_equal(result[48:64], array[16:32])
    assert result[-1] == 3
