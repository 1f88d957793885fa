"""The one place where layers choose their kernels."""

from functools import lru_cache

import numpy as np

from convgrad.kernels.registry import get
from convgrad.kernels.registry import operation as find_operation

_NAMED = {
    "conv2d": ("auto", "numba_depthwise", "numba_blocked", "numba_parallel"),
    "conv2d_filter_gradient": ("auto", "numba_blocked", "numba_parallel"),
    "conv2d_input_gradient": ("auto", "numba_blocked", "numba_parallel"),
    "dense": ("numpy",),
    "locally_connected": ("numba_batch",),
    "locally_connected_filter_gradient": ("numba_batch",),
    "locally_connected_input_gradient": ("numba_batch",),
}
"""Kernels by preference; the first that is there and serves a call is taken."""


def compute(operation, *arrays, out=None, **options):
    """Call an operation on arrays of one dtype, by the kernel that is preferred for their shapes.

    The same as the kernel itself called so, but validated once for all calls of such shapes.

    Parameters
    ----------
    operation : str
    *arrays : ndarray
    out : ndarray, optional
        Takes the result, copied if the kernel cannot write in place.
    **options
        As in a plain call; hashable.
    """
    shapes = tuple(array.shape for array in arrays)
    kernel, resolved = _choose(operation, shapes, arrays[0].dtype, tuple(options.items()))
    if out is None:
        return kernel.function(*arrays, **resolved)
    if kernel.writes_in_place:
        return kernel.function(*arrays, out=out, **resolved)
    out[...] = kernel.function(*arrays, **resolved)
    return out


@lru_cache(1024)
def _choose(operation, shapes, dtype, options):
    """Kernel, and options as it takes them."""
    zero = np.zeros((), dtype)
    outline = (np.broadcast_to(zero, shape) for shape in shapes)
    arguments = find_operation(operation).bind(*outline, **dict(options))
    for name in _NAMED[operation]:
        try:
            kernel = get(operation, name)
        except KeyError:
            continue  # There is no `auto` where no times were measured.
        if kernel.why_not() is None and kernel.why_not_bound(arguments) is None:
            return kernel, arguments.options
    raise LookupError(f"{operation}: none of {_NAMED[operation]} serves arrays of {shapes}")
