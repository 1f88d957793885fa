"""Loads and stores: what they touch, and what they leave."""

import numpy as np
import pytest
from numba import njit

from convgrad.kernels import vector

_DRAW = np.random.default_rng(0)


@njit
def _masked(array, result, first, count):
    vector.store_first(result, first, vector.load_first(array, first, 8, count), count)


@pytest.mark.parametrize("count", range(9))
def test_masked_words_touch_nothing_else(numbers, count):
    array, result = numbers(32), np.full(32, 7, np.float32)
    _masked(array, result, 3, count)
    expected = np.full(32, 7, np.float32)
    expected[3 : 3 + count] = array[3 : 3 + count]
    assert np.array_equal(result, expected)


@njit
def _load_rows(array, result, count):
    vector.store_tile(result, 0, 8, vector.load_rows(array, 2, 13, 8, 3, 2, count))


@pytest.mark.parametrize("count", [8, 9, 11, 16])
def test_rows_are_loaded_up_to_a_count(numbers, count):
    array, result = numbers(60), np.ones(48, np.float32)
    _load_rows(array, result, count)
    expected = np.zeros((3, 16), np.float32)
    for row in range(3):
        expected[row, :count] = array[2 + 13 * row :][:count]
    assert np.array_equal(result.reshape(3, 16), expected)


@njit
def _load_short_rows(array, result, count):
    vector.store_tile(result, 0, 8, vector.load_rows(array, 2, 13, 8, 3, 1, count))


@pytest.mark.parametrize("count", [0, 1, 7, 8])
def test_rows_of_one_vector_are_loaded_up_to_a_count(numbers, count):
    array, result = numbers(60), np.ones(24, np.float32)
    _load_short_rows(array, result, count)
    expected = np.zeros((3, 8), np.float32)
    for row in range(3):
        expected[row, :count] = array[2 + 13 * row :][:count]
    assert np.array_equal(result.reshape(3, 8), expected)


@njit
def _levels(levels, array):
    vector.store_tile(array, 0, 8, vector.load_levels(levels, 3, array, 8))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_become_floats(dtype):
    result = np.empty(16, dtype)
    levels = _DRAW.integers(-128, 128, 20, np.int8)
    _levels(levels, result)
    assert np.array_equal(result, levels[3:19])
    halves = _DRAW.integers(0, 256, 20, np.uint8)
    _levels(halves, result)
    assert np.array_equal(result[:8], halves[3:11] % 16 - 8.0)
    assert np.array_equal(result[8:], halves[3:11] // 16 - 8.0)


@njit
def _move_rows(array, places, result, targets):
    tile = vector.zero_tile(array, vector.width(array), 4)
    tile = vector.load_scattered(array, places, 1, tile, 2)
    vector.store_scattered(result, targets, 0, tile, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scattered_rows_are_loaded(numbers, dtype):
    array = numbers((3, 2 * vector.lanes_of(dtype)), dtype)
    result = np.zeros((2, array.shape[1]), dtype)
    _move_rows(array, np.array([1, 2, 0]), result, np.array([1, 0]))
    assert np.array_equal(result, array[[0, 2]])
