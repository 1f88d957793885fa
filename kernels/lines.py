"""Room for numbers that begins where a cache line does, in compiled code."""

import numpy as np
from numba.extending import register_jitable

LINE = 64
"""Bytes of a cache line, and as many elements more than are wanted: enough for any dtype."""


@register_jitable
def room(size, array):
    """Room for so many numbers of an array's dtype, from the start of a cache line on."""
    whole = np.empty(size + LINE, array.dtype)
    first = -(whole.ctypes.data // array.itemsize) % (LINE // array.itemsize)
    return whole[first : first + size]


@register_jitable
def zeros(size, array):
    """As `room`, with zeros in it."""
    result = room(size, array)
    result[:] = 0
    return result
