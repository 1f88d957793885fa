"""Convergence measured: error against iterations and against seconds, and what theory allows."""

import time
from typing import NamedTuple

import numpy as np

from convgrad.kernels import registry
from convgrad.kernels.analysis.conditioning import conditioning
from convgrad.kernels.validation import choice, integer, number, rank, reject

_CALLS = 3
"""Timed calls a point; the shortest counts."""


class Series(NamedTuple):
    """How one kernel of a fit converges.

    Attributes
    ----------
    kernel : str
    iterations : ndarray of int, shape (points,)
        1, 2, 4, ...
    seconds : ndarray, shape (points,)
        Of a call that takes so many iterations from zero, with all that it prepares.
    errors : ndarray, shape (points,)
        ``|w - w*| / |w*|`` by the 2-norm, w* the minimum.
    bounds : ndarray, shape (points,)
        ``rate ** iterations``: what errors cannot exceed but for rounding, which leaves some
        units of the dtype's precision, times the condition number.
    """

    kernel: str
    iterations: np.ndarray
    seconds: np.ndarray
    errors: np.ndarray
    bounds: np.ndarray


def measure_convergence(
    operation,
    design,
    targets,
    names=None,
    *,
    taps=None,
    l2=0.0,
    step=None,
    iterations=1024,
    limit=1.0,
    clock=time.perf_counter,
):
    """Let kernels descend from zero for more and more iterations.

    Parameters
    ----------
    operation : {"fit_linear", "fit_filter"}
    design, targets : array_like
        As the operation takes them: features or signal, and targets.
    names : sequence of str, optional
        Kernels of the operation; all that can run here and serve the arrays unless given.
    taps : int or tuple of int, optional
        Of ``fit_filter``, which needs them.
    l2 : float
    step : float, optional
        1 / L unless given; see `conditioning.Conditioning`.
    iterations : int
        Most of them.
    limit : float
        Seconds that no call shall take: a kernel's series ends where the next one might.
    clock : callable
        Returns seconds.

    Returns
    -------
    list of Series

    Raises
    ------
    ValueError
        For arguments that the operation does not accept, a minimum at zero, and a design without
        a single minimum.
    """
    choice("operation", operation, ("fit_linear", "fit_filter"))
    iterations = integer("iterations", iterations, at_least=1)
    limit = number("limit", limit, positive=True)
    definition = registry.operation(operation)
    options = {"iterations": 1, "step": 1.0 if step is None else step, "l2": l2}
    if taps is not None:
        options["taps"] = taps
    arguments = definition.bind(design, targets, **options)
    if operation == "fit_linear":
        rank("targets", arguments.arrays[1], 1)
    matrix = _matrix(definition, arguments)
    condition = conditioning(matrix, l2)
    if condition.number * np.finfo(np.float64).eps * max(matrix.shape) > 1:
        reject("design", f"condition number {condition.number:.1e}", "less, or some l2")
    step = condition.safe_step if step is None else arguments.options["step"]
    minimum = _minimum(matrix, arguments.arrays[1], l2)
    if not minimum.any():
        reject("targets", "none that the design explains", "a minimum apart from zero")
    if names is None:
        names = [k.name for k in registry.find(operation) if not k.why_not_bound(arguments)]
    counts = 2 ** np.arange(iterations.bit_length())
    arguments.options["step"] = step
    series = []
    for name in names:
        seconds, errors = [], []
        for weights, duration in _calls(operation, name, arguments, counts, limit, clock):
            seconds.append(duration)
            left = weights.reshape(minimum.shape) - minimum
            errors.append(np.linalg.norm(left) / np.linalg.norm(minimum))
        taken = counts[: len(seconds)]
        bounds = condition.rate(step) ** taken.astype(np.float64)
        series.append(Series(name, taken, np.array(seconds), np.array(errors), bounds))
    return series


def _matrix(definition, arguments):
    """The linear model as a matrix in float64, column by column."""
    shape = arguments.options["weights"].shape
    predict, _ = definition.model(arguments.arrays[0].astype(np.float64), shape)
    units = np.eye(np.prod(shape)).reshape(-1, *shape)
    return np.stack([predict(unit).ravel() for unit in units], axis=1)


def _minimum(matrix, targets, l2):
    """By least squares, the penalty as rows of their own."""
    count = matrix.shape[1]
    rows = np.vstack([matrix, np.sqrt(l2) * np.eye(count)])
    return np.linalg.lstsq(rows, np.append(targets, np.zeros(count)))[0]


def _calls(operation, name, arguments, counts, limit, clock):
    """Yield (weights, seconds) for each number of iterations; compiling is in no time."""
    kernel = registry.get(operation, name)
    if reason := kernel.why_not() or kernel.why_not_bound(arguments):
        kernel.refuse(reason)
    kernel.function(*arguments.arrays, **arguments.options)
    for count in counts:
        options = arguments.options | {"iterations": int(count)}
        durations = []
        for _ in range(_CALLS):
            begin = clock()
            weights = kernel.function(*arguments.arrays, **options)
            durations.append(clock() - begin)
        yield weights, min(durations)
        if 2 * min(durations) > limit:
            return
