"""Hints to the compiler change no result."""

from numba import njit

from convgrad.kernels import vector


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
