"""The words of vectors, each against what NumPy makes of the same numbers."""

import numpy as np
import pytest
from numba import njit

from convgrad.kernels import vector
from convgrad.kernels.vector.sums import dot_instruction

DRAW = np.random.default_rng(0)


def numbers(size, dtype=np.float32):
    return DRAW.standard_normal(size).astype(dtype)


@njit
def _masked(array, result, first, count):
    vector.store_first(result, first, vector.load_first(array, first, 8, count), count)


@pytest.mark.parametrize("count", range(9))
def test_masked_words_touch_nothing_else(count):
    array, result = numbers(32), np.full(32, 7, np.float32)
    _masked(array, result, 3, count)
    expected = np.full(32, 7, np.float32)
    expected[3 : 3 + count] = array[3 : 3 + count]
    assert np.array_equal(result, expected)


@njit
def _load_rows(array, result, count):
    vector.store_tile(result, 0, 8, vector.load_rows(array, 2, 13, 8, 3, 2, count))


@pytest.mark.parametrize("count", [8, 9, 11, 16])
def test_rows_are_loaded_up_to_a_count(count):
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
def test_rows_of_one_vector_are_loaded_up_to_a_count(count):
    array, result = numbers(60), np.ones(24, np.float32)
    _load_short_rows(array, result, count)
    expected = np.zeros((3, 8), np.float32)
    for row in range(3):
        expected[row, :count] = array[2 + 13 * row :][:count]
    assert np.array_equal(result.reshape(3, 8), expected)


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


def test_lanes_of_even_number_are_taken():
    array, result = numbers(32), np.empty(16, np.float32)
    _even_lanes(array, result)
    assert np.array_equal(result, array[::2])


@njit
def _multiply_rows(left, right, result):
    rows = vector.load_tile(left, 0, 8, 8, 6)
    vector.store_tile(result, 0, 8, vector.multiply_rows(rows, vector.load_tile(right, 0, 8, 8, 3)))


def test_rows_are_multiplied():
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
def test_products_of_rows_are_subtracted(columns):
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


def test_scaled_rows_are_added():
    tile, scales, rows, result = map(numbers, (24, 2, 48, 24))
    _add_scaled_rows(tile, scales, rows, result)
    expected = tile + np.tensordot(scales, rows.reshape(2, 24), 1)
    assert np.allclose(result, expected, rtol=1e-4, atol=1e-5)


@njit
def _totals(array, result):
    vector.store(result, 0, vector.totals(vector.load_tile(array, 0, 8, 8, 4)))


def test_lanes_are_summed():
    array, result = numbers(32), np.empty(4, np.float32)
    _totals(array, result)
    assert np.allclose(result, array.reshape(4, 8).sum(axis=1), rtol=1e-5, atol=1e-5)


@njit
def _multiply_add(array, result):
    left, right = vector.load(array, 0, 8), vector.broadcast(array[0], 8)
    vector.store(result, 0, vector.multiply_add(left, right, vector.load(array, 8, 8)))


def test_products_are_added():
    array, result = numbers(16), np.empty(8, np.float32)
    _multiply_add(array, result)
    assert np.allclose(result, array[:8] * array[0] + array[8:], rtol=1e-5, atol=1e-6)


@njit
def _join(array, result, first, lanes):
    low, high = vector.load(array, 0, len(lanes)), vector.load(array, len(lanes), len(lanes))
    vector.store(result, 0, vector.join(low, high, first))


@pytest.mark.parametrize(("dtype", "lanes"), [("float32", 16), ("float32", 4), ("float64", 8)])
def test_vectors_are_joined(dtype, lanes):
    array, result = numbers(2 * lanes, dtype), np.empty(lanes, dtype)
    for first in range(lanes + 1):
        _join(array, result, first, (0,) * lanes)
        assert np.array_equal(result, array[first : first + lanes])


@njit
def _add_dots(left, right, result, rows, lanes):
    tile = vector.load_tile(result, 0, len(lanes), len(lanes), 4)
    words = vector.load_tile(left, 0, len(lanes), len(lanes), len(rows))
    others = vector.load_tile(right, 0, len(lanes), len(lanes), 2)
    vector.store_tile(result, 0, len(lanes), vector.add_dots(tile, words, others))


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_tiles_of_bytes_are_multiplied_in_fours(lanes):
    left = DRAW.integers(0, 256, (2, lanes, 4), np.uint8)
    right = DRAW.integers(-128, 128, (2, lanes, 4), np.int8)
    left[0, 0], right[0, 0] = 255, -128  # no saturation on the way
    result = DRAW.integers(-1000, 1000, (2, 2, lanes), np.int32)
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
def test_tiles_are_computed_with_vector_by_vector(dtype):
    array, result = numbers(32, dtype), np.empty(64, dtype)
    whole = DRAW.integers(-99, 99, 16, np.int32)
    _tiles(array, whole, result)
    left, right = array[:16], array[16:]
    assert np.allclose(result[:16], left + right * whole, rtol=1e-5, atol=1e-4)
    assert np.array_equal(result[16:32], left + right)
    assert np.array_equal(result[32:], np.tile(left, 2))


@njit
def _levels(levels, array):
    vector.store_tile(array, 0, 8, vector.load_levels(levels, 3, array, 8))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_become_floats(dtype):
    result = np.empty(16, dtype)
    levels = DRAW.integers(-128, 128, 20, np.int8)
    _levels(levels, result)
    assert np.array_equal(result, levels[3:19])
    halves = DRAW.integers(0, 256, 20, np.uint8)
    _levels(halves, result)
    assert np.array_equal(result[:8], halves[3:11] % 16 - 8.0)
    assert np.array_equal(result[8:], halves[3:11] // 16 - 8.0)


@pytest.mark.skipif(dot_instruction(16) is None, reason="no such instruction here")
def test_bytes_are_multiplied_by_one_instruction():
    _add_dots(*(np.zeros(size, np.int32) for size in (32, 32, 64)), (0, 0), (0,) * 16)
    assert any("vpdpbusd" in text for text in _add_dots.inspect_asm().values())


@njit
def _transform(array, result, sign):
    lanes = vector.width(array)
    real = vector.load_tile(array, 0, lanes, lanes, 16)
    imaginary = vector.load_tile(array, 16 * lanes, lanes, lanes, 16)
    if sign < 0:
        real, imaginary = vector.transform(real, imaginary, -1)
    else:
        real, imaginary = vector.transform(real, imaginary, 1)
    vector.store_tile(result, 0, lanes, real)
    vector.store_tile(result, 16 * lanes, lanes, imaginary)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sign", [-1, 1])
def test_lanes_are_transformed(sign, dtype):
    parts = numbers((2, 16, vector.lanes_of(dtype)), dtype)
    result = np.empty(parts.size, dtype)
    _transform(parts.ravel(), result, sign)
    series = parts[0] + 1j * parts[1].astype(np.float64)
    expected = np.fft.fft(series, axis=0) if sign < 0 else np.fft.ifft(series, axis=0) * 16
    real, imaginary = result.reshape(parts.shape)
    assert np.allclose(real + 1j * imaginary, expected, atol=50 * np.finfo(dtype).eps)


@njit
def _rotate(array, factors, result, sign):
    lanes = vector.width(array)
    real = vector.load_tile(array, 0, lanes, lanes, 4)
    imaginary = vector.load_tile(array, 4 * lanes, lanes, lanes, 4)
    if sign < 0:
        real, imaginary = vector.rotate(real, imaginary, factors, 2 * lanes, -1)
    elif sign > 0:
        real, imaginary = vector.rotate(real, imaginary, factors, 2 * lanes, 1)
    else:
        real, imaginary = vector.multiply_complex(real, imaginary, factors, 0)
    vector.store_tile(result, 0, lanes, real)
    vector.store_tile(result, 4 * lanes, lanes, imaginary)


@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_complex_numbers_are_multiplied(sign):
    lanes = vector.lanes_of(np.float64)
    parts, factors = numbers((2, 4, lanes), np.float64), numbers((4, 2, lanes), np.float64)
    result = np.empty(parts.size)
    _rotate(parts.ravel(), factors.ravel(), result, sign)
    turned = factors[:, 0] + 1j * factors[:, 1]
    if sign != 0:
        turned[0] = 1
    if sign < 0:
        turned = turned.conj()
    real, imaginary = result.reshape(parts.shape)
    assert np.allclose(real + 1j * imaginary, (parts[0] + 1j * parts[1]) * turned)


@njit
def _transpose(array, result):
    lanes = vector.width(array)
    tile = vector.load_tile(array, 0, lanes, lanes, vector.width(array))
    vector.store_tile(result, 0, lanes, vector.transpose(tile))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_square_is_turned_round(dtype):
    lanes = vector.lanes_of(dtype)
    square, result = numbers((lanes, lanes), dtype), np.empty((lanes, lanes), dtype)
    _transpose(square, result)
    assert np.array_equal(result, square.T)


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
def test_a_panel_is_a_product_of_matrices(turned, share, dtype):
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
def test_gathered_rows_are_multiplied_and_scattered(depth, dtype):
    lanes = vector.lanes_of(dtype)
    left, right = numbers(100, dtype), numbers((depth, 2 * lanes), dtype)
    places, targets = np.array([0, 60, 7]), np.array([0, 2, 0])
    result = np.full((3, 2 * lanes), 9, dtype)
    _add_gathered(left, places, np.append([0, 0], right).astype(dtype), depth, result, targets)
    rows = np.stack([left[place - 3 : place - 3 + depth] for place in places[1:]])
    assert np.allclose(result[[2, 0]], rows @ right, atol=100 * np.finfo(dtype).eps)
    assert np.all(result[1] == 9)


@njit
def _move_rows(array, places, result, targets):
    tile = vector.zero_tile(array, vector.width(array), 4)
    tile = vector.load_scattered(array, places, 1, tile, 2)
    vector.store_scattered(result, targets, 0, tile, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scattered_rows_are_loaded(dtype):
    array = numbers((3, 2 * vector.lanes_of(dtype)), dtype)
    result = np.zeros((2, array.shape[1]), dtype)
    _move_rows(array, np.array([1, 2, 0]), result, np.array([1, 0]))
    assert np.array_equal(result, array[[0, 2]])


@njit
def _add_half(left, places, right, depth, result):
    lanes = vector.width(left)
    step = lanes + lanes // 2
    tile = vector.zero_tile(left, lanes, 4)
    tile = vector.add_gathered(tile, left, places, 0, 0, right, 0, step, depth, 2, 1)
    vector.store_scattered(result, np.arange(2), 0, tile, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_the_last_vector_half_may_be_there(dtype):
    lanes = vector.lanes_of(dtype)
    left, right = numbers((2, 5), dtype), numbers((5, lanes + lanes // 2), dtype)
    result = np.full((2, 2 * lanes), 9, dtype)
    _add_half(left, np.array([0, 5]), right, 5, result)
    expected = np.pad(left @ right, ((0, 0), (0, lanes - lanes // 2)))
    assert np.allclose(result, expected, atol=100 * np.finfo(dtype).eps)


@njit
def _roll(array, tall, wide, result):
    rows, columns, count = vector.sides(tall, wide)
    tile = vector.move_up(vector.load_tile(array, 0, 8, 8, count), columns)
    vector.store_tile(result, 0, 8, tile)
    vector.store_tile(result, 48, 8, vector.first_row(tile, columns))
    result[-1] = rows


def test_rows_of_a_tile_move_up():
    array, result = numbers(48), np.empty(65, np.float32)
    _roll(array, (0,) * 3, (0,) * 2, result)
    assert np.array_equal(result[:32], array[16:])
    assert not result[32:48].any()
    assert np.array_equal(result[48:64], array[16:32])
    assert result[-1] == 3


@njit
def _correlate_row(weights, array, several, planes, result):
    tile = vector.load_tile(result, 0, 8, 8, 6)
    tile = vector.correlate_row(tile, weights, 10, 15, 5, array, 2, 30, planes, several, 2)
    vector.store_tile(result, 0, 8, tile)


@pytest.mark.parametrize("planes", [1, 2])
def test_a_row_of_samples_gives_to_all_rows_of_a_tile(planes):
    weights, array, result = numbers(30), numbers(60), numbers(48)
    expected = result.reshape(3, 16).copy()
    for plane in range(planes):
        for row in range(3):
            taps = weights.reshape(2, 3, 5)[plane, 2 - row]
            expected[row] += np.correlate(array[30 * plane + 2 :][:20], taps, "valid")
    _correlate_row(weights, array, (0,) * planes, planes, result)
    assert np.allclose(result, expected.ravel(), atol=1e-5)


@njit
def _count(limit):
    vector.align_stack()
    number = 0
    while number < limit:
        number = vector.unforeseen(number + 3)
    return number


def test_hints_change_no_number():
    assert _count(10) == 12
    llvm = next(iter(_count.inspect_llvm().values()))
    assert "align 64" in llvm
