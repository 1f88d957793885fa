"""Convolution and gradient descent: many implementations behind one registry.

>>> from convgrad import kernels
>>> k = kernels.get("convolve", "numpy")
>>> k([1.0, 2.0, 3.0], [1.0, 1.0], mode="valid")    # 2 = 3 - 2 + 1 outputs
array([3., 5.])
"""

from convgrad.kernels.case import Case
from convgrad.kernels.registry import Kernel, Unsupported, find, get, kernel, operation, operations

__all__ = [
    "Case",
    "Kernel",
    "Unsupported",
    "explain",
    "find",
    "get",
    "kernel",
    "operation",
    "operations",
]


def explain(operation_name, *args, **kwargs):
    """Say which kernel ``auto`` chooses for a call, and why; see `convgrad.kernels.auto.explain`.

    >>> print(explain("convolve", signal, taps, mode="same"))  # doctest: +SKIP
    """
    from convgrad.kernels import auto

    return auto.explain(operation_name, *args, **kwargs)
