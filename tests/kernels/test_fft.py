"""Transforms against NumPy's, in whatever order they come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convgrad.kernels import fft, vector
from convgrad.kernels.lines import room

LONGEST = 1 << 16
"""Long enough to be taken apart in two stages."""


def a_count(share, dtype):
    smallest = fft.smallest(dtype)
    return smallest << round(share * (LONGEST // smallest).bit_length() - share)


def in_pairs(real, imaginary):
    lanes = vector.lanes_of(real.dtype)
    work = room(2 * real.size, real)
    work.reshape(-1, 2, lanes)[:] = np.stack([real, imaginary]).reshape(2, -1, lanes).swapaxes(0, 1)
    return work


def numbers(work):
    parts = work.reshape(-1, 2, vector.lanes_of(work.dtype)).swapaxes(0, 1).reshape(2, -1)
    return parts[0] + 1j * parts[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_a_transform_has_all_frequencies(dtype, share, seed):
    count, draw = a_count(share, dtype), np.random.default_rng(seed)
    real, imaginary = draw.standard_normal((2, count)).astype(dtype)
    work = in_pairs(real, imaginary)
    fft.transform(work, *fft.tables(count, dtype))
    expected = np.fft.fft(real + 1j * imaginary.astype(np.float64))
    found = np.sort(numbers(work).real)
    error = np.linalg.norm(found - np.sort(expected.real)) / np.linalg.norm(expected)
    assert error < 20 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_two_series_are_convolved_at_once(dtype, share, seed):
    count, draw = a_count(share, dtype), np.random.default_rng(seed)
    first, second, taps = draw.standard_normal((3, count)).astype(dtype)
    tables = fft.tables(count, dtype)
    spectrum = in_pairs(taps / dtype(count), np.zeros(count, dtype))
    fft.transform(spectrum, *tables)
    work = in_pairs(first, second)
    fft.convolve(work, *tables, spectrum)
    found, filtered = numbers(work), np.fft.fft(taps.astype(np.float64))
    for series, result in ((first, found.real), (second, found.imag)):
        expected = np.fft.ifft(np.fft.fft(series.astype(np.float64)) * filtered).real
        error = np.linalg.norm(result - expected) / np.linalg.norm(expected)
        assert error < 20 * np.finfo(dtype).eps
