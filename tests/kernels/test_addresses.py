"""Compiled functions called by address."""

import numpy as np
from numba import njit, types

from convgrad.kernels.addresses import call, compiled


def _add_to(number):
    def add(array, pair):
        array[0] += number * pair[0] + pair[1]

    return add


@njit
def _call_all(addresses, array, pair):
    for address in addresses:
        call(address, (array, pair))


def test_functions_are_called_by_address():
    own = types.float64[::1], types.UniTuple(types.intp, 2)
    functions = [compiled(_add_to(number), *own) for number in (1, 10)]
    array = np.zeros(3)
    _call_all(np.array([function.address for function in functions]), array, (2, 3))
    assert array.tolist() == [28, 0, 0]
