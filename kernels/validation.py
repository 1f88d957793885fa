"""Checks that every operation makes on its arguments, and the one form of their messages."""

import math
import numbers

import numpy as np

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def reject(argument, value, expected, error=ValueError):
    """Raise ``error`` with the one line that users see: argument, value, what was expected."""
    text = value if isinstance(value, str) else repr(value)
    raise error(f"{argument}: got {text}, expected {expected}")


def arrays(**named):
    """Give the arrays one dtype, ``np.result_type(*arrays, np.float32)``.

    Parameters
    ----------
    **named : array_like
        The arrays by argument name; float32, float64, integers, booleans, or a mix.

    Returns
    -------
    tuple of ndarray
        float32 or float64, in the order given; a view where nothing had to be converted.

    Raises
    ------
    TypeError
        If an array holds anything but real numbers that fit float64.
    ValueError
        If an array is empty or ragged.
    """
    given = tuple(named.values())
    if _as_needed(given):  # in a microsecond less, which is as much as a small kernel takes
        return given
    given = []
    for name, value in named.items():
        try:
            array = np.asarray(value)
        except ValueError:
            reject(name, type(value).__name__, "a rectangular array of real numbers")
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            reject(name, f"dtype {array.dtype}", "float32, float64 or integers", TypeError)
        if array.size == 0:
            reject(name, f"an empty array of shape {array.shape}", "at least one element")
        given.append(array)
    dtype = np.result_type(*given, np.float32)
    return tuple(np.asarray(array, dtype=dtype) for array in given)


def _as_needed(given):
    """Whether these are arrays of one of the dtypes already, and hold something."""
    if type(given[0]) is not np.ndarray or given[0].dtype not in DTYPES:
        return False
    dtype = given[0].dtype
    for array in given:
        if type(array) is not np.ndarray or array.dtype is not dtype or not array.size:
            return False
    return True


def rank(argument, array, *allowed):
    """Reject an array whose number of dimensions is not among ``allowed``."""
    if array.ndim not in allowed:
        wanted = " or ".join(f"{n}-D" for n in allowed)
        reject(argument, f"shape {array.shape}", f"a {wanted} array")


def integer(argument, value, at_least):
    """Return ``value`` as an int, or reject it."""
    whole = type(value) is int or (
        isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))
    )
    if not whole or value < at_least:
        reject(argument, repr(value), f"an integer of at least {at_least}")
    return int(value)


def number(argument, value, *, positive=False):
    """Return ``value`` as a finite float, non-negative or ``positive``, or reject it."""
    real = type(value) is float or (
        isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    )
    if not real or not math.isfinite(value) or value < 0 or (positive and value == 0):
        reject(
            argument, repr(value), f"a finite {'positive' if positive else 'non-negative'} number"
        )
    return float(value)


def choice(argument, value, allowed):
    """Reject a value that is not one of the words ``allowed``."""
    if not isinstance(value, str) or value not in allowed:
        reject(argument, repr(value), "one of " + ", ".join(map(repr, allowed)))


def finite(**named):
    """Reject arrays that hold NaN or infinity, naming the first such element."""
    for name, array in named.items():
        # One read, without threads and temporary arrays; a sum of finite numbers may overflow.
        if not np.isfinite(np.einsum(array, range(array.ndim), [])):
            wrong = np.argwhere(~np.isfinite(array))
            if len(wrong):
                index = tuple(wrong[0].tolist())
                reject(name, f"{array[index]} at index {index}", "finite numbers only")


def output(out, shape, dtype, inputs):
    """Reject an array that a result of this shape and dtype cannot be written into."""
    right = isinstance(out, np.ndarray) and out.shape == shape
    if not (right and out.dtype == dtype and out.flags.carray):  # Words for it take 5 us.
        expected = f"a writeable C-contiguous array of shape {shape} and dtype {dtype}"
        if not isinstance(out, np.ndarray):
            reject("out", type(out).__name__, expected, TypeError)
        order = "C" if out.flags.c_contiguous else "not C"
        flags = order + ("" if out.flags.writeable else ", read-only")
        reject("out", f"shape {out.shape}, dtype {out.dtype}, flags {flags}", expected)
    if any(np.may_share_memory(out, array) for array in inputs):
        reject("out", "an array that overlaps an input", "memory of its own")


def plain(array):
    """Return an array as compiled code takes it: C-contiguous, aligned, of a writeable type.

    That is the array itself, where it is so.
    """
    return array if array.flags.carray else np.require(array, requirements=("C", "A", "W"))
