"""Functions that are called by their address, from a parallel loop and with an error."""

from typing import NamedTuple

import numpy as np
import pytest
from numba import njit, prange

from convgrad.kernels.address import address_of, call


class Span(NamedTuple):
    first: int
    stop: int


@njit
def add(span, factor, array):
    if span.first < 0:
        raise ValueError("before the first")
    for i in range(span.first, span.stop):
        array[i] += factor


@njit(parallel=True)
def add_shared(address, factor, array, parts):
    for part in prange(parts):
        own = Span(np.int64(part) * array.size // parts, (part + np.int64(1)) * array.size // parts)
        call(address, (own, factor, array))


@njit
def add_at(address, span, factor, array):
    call(address, (span, factor, array))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_does_what_the_function_does(dtype):
    array, factor = np.zeros(10, dtype), dtype(3)
    add_at(address_of(add, Span(2, 5), factor, array), Span(2, 5), factor, array)
    assert array.tolist() == [0, 0, 3, 3, 3, 0, 0, 0, 0, 0]


def test_a_parallel_loop_calls_it():
    array = np.zeros(1001)
    add_shared(address_of(add, Span(0, 1), 2.0, array), 2.0, array, 7)
    assert (array == 2).all()


def test_each_type_has_its_address_and_keeps_it():
    wide, narrow = np.zeros(3), np.zeros(3, np.float32)
    first = address_of(add, Span(0, 1), 1.0, wide)
    assert address_of(add, Span(1, 2), 2.0, np.ones(9)) == first
    assert address_of(add, Span(0, 1), 1.0, narrow) != first


def test_an_error_comes_through():
    array = np.zeros(3)
    with pytest.raises(ValueError, match="before the first"):
        add_at(address_of(add, Span(-1, 1), 1.0, array), Span(-1, 1), 1.0, array)


def test_other_types_are_refused():
    address = address_of(add, Span(0, 1), 1.0, np.zeros(3))
    with pytest.raises(TypeError, match="float32.*address_of"):
        add_at(address, Span(0, 1), 1.0, np.zeros(3, np.float32))
