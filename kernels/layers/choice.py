"""The one place where layers choose their kernels."""

from functools import lru_cache

import numpy as np

from convgrad.kernels.auto import explained, table_of
from convgrad.kernels.registry import get
from convgrad.kernels.registry import operation as find_operation

_NAMED = {
    "conv2d": ("auto", "numba_depthwise", "numba_blocked", "numba_parallel"),
    "conv2d_filter_gradient": ("auto", "numba_blocked", "numba_parallel"),
    "conv2d_input_gradient": ("auto", "numba_blocked", "numba_parallel"),
    "conv2d_int8": ("numba_bytes",),  # Others would keep floats; so it is with other levels.
    "dense": ("numpy",),  # Training has transposed arrays, which only BLAS takes as they are.
    "dense_int8": ("numba_bytes",),
    "dense_pruned": ("auto", "numba_csr"),
    "dense_quantised": ("numba_levels",),
    "locally_connected": ("auto", "numba_batch"),
    "locally_connected_filter_gradient": ("auto", "numba_batch"),
    "locally_connected_input_gradient": ("auto", "numba_batch"),
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


def keeper(operation, shape, weights, **options):
    """Choose the kernel that is to keep some weights.

    `auto` would keep them as they are too, for whatever else it may be called with: here its
    choice is made once.

    Parameters
    ----------
    operation : str
    shape : tuple of int
        Of the other array, in the calls to come.
    weights : ndarray
    **options
        As in a plain call.

    Returns
    -------
    Kernel
        Its `prepares` takes the weights,
    dict
        with these options.
    """
    other = np.broadcast_to(np.zeros((), weights.dtype), shape)
    arguments = find_operation(operation).bind(other, weights, **options)
    kernel = _first(operation, arguments)
    if kernel.family == "auto":
        told = explained(operation, table_of(operation), arguments, prepared=True)
        kernel = get(operation, told.choice)
    return kernel, arguments.options


@lru_cache(1024)
def _choose(operation, shapes, dtype, options):
    """Kernel, and options as it takes them."""
    zero = np.zeros((), dtype)
    outline = (np.broadcast_to(zero, shape) for shape in shapes)
    arguments = find_operation(operation).bind(*outline, **dict(options))
    return _first(operation, arguments), arguments.options


def _first(operation, arguments):
    """The first kernel that is there and serves."""
    for name in _NAMED[operation]:
        try:
            kernel = get(operation, name)
        except KeyError:
            continue  # There is no `auto` where no times were measured.
        if kernel.why_not() is None and kernel.why_not_bound(arguments) is None:
            return kernel
    shapes = [array.shape for array in arguments.arrays]
    raise LookupError(f"{operation}: none of {_NAMED[operation]} serves arrays of {shapes}")
