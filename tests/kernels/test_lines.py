"""Room from the start of a cache line on."""

import numpy as np
import pytest
from numba import njit

from convgrad.kernels.lines import LINE, room, zeros


@njit
def _rooms(sizes, array):
    return [room(size, array) for size in sizes]


@njit
def _zeros(sizes, array):
    return [zeros(size, array) for size in sizes]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [_rooms, _zeros])
def test_room_begins_a_line_and_is_its_own(dtype, make):
    sizes = np.array([0, 1, 7, 16, 1000, 1001])
    made = make(sizes, np.empty(0, dtype))
    assert [len(own) for own in made] == list(sizes)
    assert all(own.ctypes.data % LINE == 0 and own.dtype == dtype for own in made)
    for number, own in enumerate(made):
        own[:] = number
    assert all((own == number).all() for number, own in enumerate(made))


def test_zeros_are_zeros():
    made = [_zeros(np.full(4, 5000), np.empty(0, np.float32)) for _ in range(5)]
    for rooms in made:
        for own in rooms:
            assert not own.any()
            own[:] = 1
