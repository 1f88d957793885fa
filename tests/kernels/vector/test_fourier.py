"""Transforms of tiles of complex numbers, against NumPy's."""

import numpy as np
import pytest
from numba import njit

from convgrad.kernels import vector


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
def test_lanes_are_transformed(numbers, sign, dtype):
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
def test_complex_numbers_are_multiplied(numbers, sign):
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
