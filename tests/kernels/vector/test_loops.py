"""Loops of sums whose tile stays in registers, against matrix products and correlations."""

import numpy as np
import pytest
from numba import njit

from convgrad.kernels import vector


@njit
def _add_panel(left, right, depth, apart, result):
    lanes = vector.width(left)
    pitch, tile = 50 * lanes, vector.load_tile(result, 0, lanes, lanes, 4)
    if apart == 1:
        tile = vector.add_panel(tile, left, 1, 2, 1, lanes, right, 2, lanes, pitch, depth, 2)
    else:
        second = 1 + 3 * lanes
        tile = vector.add_panel(tile, left, 1, second, lanes, 1, right, 2, lanes, pitch, depth, 2)
    vector.store_tile(result, 0, lanes, tile)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0, 0.5, 1])
@pytest.mark.parametrize("turned", [False, True])
def test_a_panel_is_a_product_of_matrices(numbers, turned, share, dtype):
    lanes = vector.lanes_of(dtype)
    depth = max(int(share * lanes), 1)
    square, right = numbers((max(lanes, 4), lanes), dtype), numbers((2, 50, lanes), dtype)
    left = (square[:lanes].T[:2] if turned else square[[0, 3]])[:, :depth]
    result = numbers((2, 2 * lanes), dtype)
    expected = result + left @ np.hstack(right[:, :depth])
    flat, shifted = result.ravel(), np.append([0, 0], right).astype(dtype)
    apart = 1 if turned else lanes
    _add_panel(np.append(0, square).astype(dtype), shifted, depth, apart, flat)
    assert np.allclose(flat.reshape(result.shape), expected, atol=100 * np.finfo(dtype).eps)


@njit
def _add_gathered(left, places, right, depth, result, targets):
    lanes = vector.width(left)
    tile = vector.zero_tile(left, lanes, 4)
    tile = vector.add_gathered(tile, left, places, 1, -3, right, 2, 2 * lanes, depth, 2, 0)
    vector.store_scattered(result, targets, 1, tile, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("depth", [1, 5])
def test_gathered_rows_are_multiplied_and_scattered(numbers, depth, dtype):
    lanes = vector.lanes_of(dtype)
    left, right = numbers(100, dtype), numbers((depth, 2 * lanes), dtype)
    places, targets = np.array([0, 60, 7]), np.array([0, 2, 0])
    result = np.full((3, 2 * lanes), 9, dtype)
    _add_gathered(left, places, np.append([0, 0], right).astype(dtype), depth, result, targets)
    rows = np.stack([left[place - 3 : place - 3 + depth] for place in places[1:]])
    assert np.allclose(result[[2, 0]], rows @ right, atol=100 * np.finfo(dtype).eps)
    assert np.all(result[1] == 9)


@njit
def _add_half(left, places, right, depth, result):
    lanes = vector.width(left)
    step = lanes + lanes // 2
    tile = vector.zero_tile(left, lanes, 4)
    tile = vector.add_gathered(tile, left, places, 0, 0, right, 0, step, depth, 2, 1)
    vector.store_scattered(result, np.arange(2), 0, tile, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_the_last_vector_half_may_be_there(numbers, dtype):
    lanes = vector.lanes_of(dtype)
    left, right = numbers((2, 5), dtype), numbers((5, lanes + lanes // 2), dtype)
    result = np.full((2, 2 * lanes), 9, dtype)
    _add_half(left, np.array([0, 5]), right, 5, result)
    expected = np.pad(left @ right, ((0, 0), (0, lanes - lanes // 2)))
    assert np.allclose(result, expected, atol=100 * np.finfo(dtype).eps)


@njit
def _correlate_row(weights, array, several, planes, result):
    tile = vector.load_tile(result, 0, 8, 8, 6)
    tile = vector.correlate_row(tile, weights, 10, 15, 5, array, 2, 30, planes, several, 2)
    vector.store_tile(result, 0, 8, tile)


@pytest.mark.parametrize("planes", [1, 2])
def test_a_row_of_samples_gives_to_all_rows_of_a_tile(numbers, planes):
    weights, array, result = numbers(30), numbers(60), numbers(48)
    expected = result.reshape(3, 16).copy()
    for plane in range(planes):
        for row in range(3):
            taps = weights.reshape(2, 3, 5)[plane, 2 - row]
            expected[row] += np.correlate(array[30 * plane + 2 :][:20], taps, "valid")
    _correlate_row(weights, array, (0,) * planes, planes, result)
    assert np.allclose(result, expected.ravel(), atol=1e-5)
