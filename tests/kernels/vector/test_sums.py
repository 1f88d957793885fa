"""Sums of products of tiles, against NumPy."""

import numpy as np
import pytest
from numba import njit

from convgrad.kernels import vector
from convgrad.kernels.vector.sums import dot_instruction

_DRAW = np.random.default_rng(0)


@njit
def _multiply_rows(left, right, result):
    rows = vector.load_tile(left, 0, 8, 8, 6)
    vector.store_tile(result, 0, 8, vector.multiply_rows(rows, vector.load_tile(right, 0, 8, 8, 3)))


def test_rows_are_multiplied(numbers):
    left, right = numbers(48, np.float64), numbers(24, np.float64)
    result = np.empty(16)
    _multiply_rows(left, right, result)
    expected = (left.reshape(2, 3, 8) * right.reshape(3, 8)).sum(axis=1)
    assert np.allclose(result.reshape(2, 8), expected)


@njit
def _subtract_rows(sums, left, right, result, columns):
    start = vector.load_tile(sums, 0, 8, 8, 2)
    rows = vector.load_rows(left, 0, 8 * len(columns), 8, 2, len(columns), 8 * len(columns))
    row = vector.load_tile(right, 0, 8, 8, len(columns))
    vector.store_tile(result, 0, 8, vector.subtract_rows(start, rows, row))


@pytest.mark.parametrize("columns", [1, 2, 4, 5, 6])
def test_products_of_rows_are_subtracted(numbers, columns):
    sums, left, right = (numbers(8 * n, np.float64) for n in (2, 2 * columns, columns))
    result = np.empty(16)
    _subtract_rows(sums, left, right, result, (0,) * columns)
    products = left.reshape(2, columns, 8) * right.reshape(columns, 8)
    assert np.allclose(result.reshape(2, 8), sums.reshape(2, 8) - products.sum(axis=1))


@njit
def _add_scaled_rows(tile, scales, rows, result):
    start = vector.load_tile(tile, 0, 8, 8, 3)
    factors = vector.broadcast_tile(scales, 0, 1, 8, 2)
    added = vector.add_scaled_rows(start, factors, vector.load_tile(rows, 0, 8, 8, 6))
    vector.store_tile(result, 0, 8, added)


def test_scaled_rows_are_added(numbers):
    tile, scales, rows, result = map(numbers, (24, 2, 48, 24))
    _add_scaled_rows(tile, scales, rows, result)
    expected = tile + np.tensordot(scales, rows.reshape(2, 24), 1)
    assert np.allclose(result, expected, rtol=1e-4, atol=1e-5)


@njit
def _multiply_add(array, result):
    left, right = vector.load(array, 0, 8), vector.broadcast(array[0], 8)
    vector.store(result, 0, vector.multiply_add(left, right, vector.load(array, 8, 8)))


def test_products_are_added(numbers):
    array, result = numbers(16), np.empty(8, np.float32)
    _multiply_add(array, result)
    assert np.allclose(result, array[:8] * array[0] + array[8:], rtol=1e-5, atol=1e-6)


@njit
def _add_dots(left, right, result, rows, lanes):
    tile = vector.load_tile(result, 0, len(lanes), len(lanes), 4)
    words = vector.load_tile(left, 0, len(lanes), len(lanes), len(rows))
    others = vector.load_tile(right, 0, len(lanes), len(lanes), 2)
    vector.store_tile(result, 0, len(lanes), vector.add_dots(tile, words, others))


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_tiles_of_bytes_are_multiplied_in_fours(lanes):
    left = _DRAW.integers(0, 256, (2, lanes, 4), np.uint8)
    right = _DRAW.integers(-128, 128, (2, lanes, 4), np.int8)
    left[0, 0], right[0, 0] = 255, -128  # no saturation on the way
    result = _DRAW.integers(-1000, 1000, (2, 2, lanes), np.int32)
    products = left[:, None].astype(np.int32) * right
    expected = result + products.sum(axis=-1)
    words = left.view(np.int32).ravel(), right.view(np.int32).ravel()
    _add_dots(*words, result, (0, 0), (0,) * lanes)
    assert np.array_equal(result, expected)


@njit
def _tiles(array, whole, result):
    left, right = vector.load_tile(array, 0, 8, 8, 2), vector.load_tile(array, 16, 8, 8, 2)
    numbers = vector.as_numbers(vector.load_tile(whole, 0, 8, 8, 2), array)
    vector.store_tile(result, 0, 8, vector.add_products(left, right, numbers))
    vector.store_tile(result, 16, 8, vector.add_tiles(left, right))
    vector.store_tile(result, 32, 8, vector.repeat(left, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiles_are_computed_with_vector_by_vector(numbers, dtype):
    array, result = numbers(32, dtype), np.empty(64, dtype)
    whole = _DRAW.integers(-99, 99, 16, np.int32)
    _tiles(array, whole, result)
    left, right = array[:16], array[16:]
    assert np.allclose(result[:16], left + right * whole, rtol=1e-5, atol=1e-4)
    assert np.array_equal(result[16:32], left + right)
    assert np.array_equal(result[32:], np.tile(left, 2))


@pytest.mark.skipif(dot_instruction(16) is None, reason="no such instruction here")
def test_bytes_are_multiplied_by_one_instruction():
    _add_dots(*(np.zeros(size, np.int32) for size in (32, 32, 64)), (0, 0), (0,) * 16)
    assert any("vpdpbusd" in text for text in _add_dots.inspect_asm().values())
