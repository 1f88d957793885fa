"""Inputs as bytes for products with 8-bit weights: quantised, and plus 128.

Instructions that multiply bytes take one factor unsigned: inputs are stored as level + 128, and
sums are corrected by 128 times the sum of the weights, which is known beforehand.
"""

import numpy as np
from numba import njit

from convgrad.kernels.products.quantised_levels import MOST

OFFSET = 128
"""Stored for level zero."""
_MOST = MOST[8]


@njit(cache=True)
def _largest_bits(bits, most):
    """Bits of the largest magnitude: they order as magnitudes do, infinity next, NaN last."""
    largest = np.int64(0)
    for i in range(len(bits)):
        largest = max(largest, bits[i] & most)
    return largest


@njit(cache=True)
def find_scale(values, bits, known, scales, own_bits, place):
    """Set ``scales[place]`` to that of some values, as `quantised_levels.scale_of` defines it.

    Parameters
    ----------
    values : ndarray, 1-D
    bits : ndarray
        The same memory as signed integers, as ``own_bits`` is that of ``scales``.
    known : float
        The scale, if it is given, and 0 if not.
    scales : ndarray
    """
    info = np.finfo(values.dtype)
    own_bits[place] = _largest_bits(bits, np.iinfo(bits.dtype).max)
    largest = scales[place]
    if not largest < np.inf:
        scales[place] = np.nan
    elif known > 0:
        scales[place] = max(known, info.tiny)
    else:
        scales[place] = max(largest / values.dtype.type(_MOST), info.tiny)


@njit(cache=True)
def quantise(values, scale, stored):
    """Set bytes to the levels of the values, plus `OFFSET`."""
    most = values.dtype.type(_MOST)
    for i in range(len(values)):
        level = min(max(np.rint(values[i] / scale), -most), most)
        stored[i] = np.uint8(np.int32(level) + OFFSET)
