"""The minimum of a fit: descent by registered kernels, until the conditions of a minimum hold."""

import warnings
from typing import NamedTuple

import numpy as np

from convgrad.kernels import registry
from convgrad.kernels.gradient_descent.reference import soft_threshold

_FIRST_RUN = 16
"""Steps before the conditions are looked at; each further run has twice as many."""
_MOST_STEPS = 1 << 18


class Optimum(NamedTuple):
    """Weights, and how they came about.

    Attributes
    ----------
    weights : ndarray
    steps : int
        Taken from the start.
    violation : float
        Largest violation of the conditions of a minimum, as a part of the largest slope at zero.
    """

    weights: np.ndarray
    steps: int
    violation: float


def default_tolerance(dtype):
    """Violation that is small and can be reached: half of the digits of ``dtype``."""
    return float(np.sqrt(np.finfo(dtype).eps))


def descend(operation, design, targets, start, *, step, l2=0.0, l1=0.0, tolerance, kernel="auto"):
    """Take steps until no weight has a slope to go down.

    At a minimum a step leads nowhere: what it changes, divided by its length, is how far the
    Karush-Kuhn-Tucker conditions are violated, in the unit of the gradient.

    Parameters
    ----------
    operation : {"fit_linear", "fit_filter"}
    design, targets, start : ndarray
        As the operation's `bind` returns them: features or signal, targets, weights.
    step, l2, l1 : float
        As in the operation.
    tolerance : float
        Largest violation, as a part of the largest element of ``A^T y``.
    kernel : str
        Which one takes the steps.

    Returns
    -------
    Optimum

    Warns
    -----
    RuntimeWarning
        If 2^18 steps were not enough.
    """
    take = registry.get(operation, kernel)
    predict, correlate = registry.operation(operation).model(design, start.shape)
    scale = float(np.abs(correlate(targets)).max()) or 1.0
    options = {"step": step, "l2": l2, "l1": l1}
    if operation == "fit_filter":
        options["taps"] = start.shape
    weights, steps, run = start, 0, _FIRST_RUN
    while True:
        slope = correlate(predict(weights) - targets) + l2 * weights
        moved = soft_threshold(weights - step * slope, step * l1)
        violation = float(np.abs(weights - moved).max()) / step / scale
        if violation <= tolerance:
            break
        if steps >= _MOST_STEPS:
            warnings.warn(
                f"{operation}: violation {violation:.1e} after {steps} steps, expected at most "
                f"{tolerance:.1e}: a larger penalty or tolerance is reached in fewer",
                RuntimeWarning,
                stacklevel=2,
            )
            break
        weights = take(design, targets, weights=weights, iterations=run, **options)
        steps, run = steps + run, 2 * run
    return Optimum(weights, steps, violation)
