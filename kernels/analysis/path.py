"""The path of a linear model: its coefficients as a penalty goes from strong to weak."""

from typing import NamedTuple

import numpy as np

from convgrad.kernels import registry
from convgrad.kernels.analysis.optimum import default_tolerance, descend
from convgrad.kernels.operation import gamma
from convgrad.kernels.validation import choice, number, rank, reject

COUNT, RATIO = 50, 1e-4
"""Lambdas of a path unless given, in even steps of their logarithm; the smallest to the largest."""
_STRONGEST = 10
"""Largest l2 unless given, in units of the largest eigenvalue: a tenth is left of any direction."""


class Path(NamedTuple):
    """Linear models ``intercept + x w``, one a lambda, the largest first.

    Attributes
    ----------
    lambdas, intercepts : ndarray, shape (count,)
    coefficients : ndarray, shape (count, features)
    steps : ndarray of int, shape (count,)
        That descent took from the model before.
    violations : ndarray, shape (count,)
        See `optimum.Optimum`.
    """

    lambdas: np.ndarray
    intercepts: np.ndarray
    coefficients: np.ndarray
    steps: np.ndarray
    violations: np.ndarray

    @property
    def zeros(self):
        """Coefficients that are exactly zero, shape (count,)."""
        return (self.coefficients == 0).sum(axis=1)

    def predict(self, features):
        """Predictions of all models, shape (count, samples)."""
        return self.intercepts[:, np.newaxis] + self.coefficients @ np.asarray(features).T


class Centred(NamedTuple):
    """Features and targets less their means, which makes room for an intercept without penalty."""

    features: np.ndarray
    targets: np.ndarray
    features_mean: np.ndarray
    target_mean: float

    @classmethod
    def of(cls, features, targets):
        """Validate as `fit_linear` does, and centre; targets have one number a sample."""
        bound = registry.operation("fit_linear").bind(features, targets, iterations=1, step=1.0)
        features, targets = bound.arrays
        rank("targets", targets, 1)
        means = features.mean(axis=0), targets.mean()
        return cls(features - means[0], targets - means[1], *means)

    @property
    def curvature(self):
        """Largest eigenvalue of ``X^T X``."""
        return registry.operation("fit_linear").curvature(self.features, self.features.shape[1:])

    def largest_lambda(self, penalty, curvature):
        """The first lambda of a path.

        For l1 the least from which on all coefficients are zero, ``max |X^T y|``, and what
        rounding may add to it; for l2 ten times the curvature.
        """
        if penalty == "l2":
            return _STRONGEST * curvature
        x, y = self.features, self.targets
        rounding = gamma(len(y) + 3, y.dtype) * np.abs(x).T @ np.abs(y)
        return float((np.abs(x.T @ y) + rounding).max())


def fit_path(
    features, targets, penalty, *, lambdas=None, tolerance=None, curvature=None, kernel="auto"
):
    """Fit linear models over lambda, each from the one before (Friedman, Hastie, Tibshirani, 2010).

    They minimise ``1/2 sum((y - b - X w)^2)`` plus ``lambda/2 |w|^2`` (l2) or ``lambda |w|_1``
    (l1). Descent takes steps of ``1/(L + l2)``, L the largest eigenvalue of ``X^T X`` after
    centring. Features are taken as they are: scale them to one spread first.

    Parameters
    ----------
    features : array_like, shape (samples, features)
    targets : array_like, shape (samples,)
    penalty : {"l2", "l1"}
    lambdas : array_like, shape (count,), optional
        In any order. Unless given, 50 down to 1e-4 of the largest; that of l1 is where all
        coefficients become zero, that of l2 ten times L.
    tolerance : float, optional
        See `optimum.descend`; 1.5e-8 in float64 and 3.5e-4 in float32 unless given.
    curvature : float, optional
        L, or more; computed unless given.
    kernel : str
        Kernel of ``fit_linear``.

    Returns
    -------
    Path

    Raises
    ------
    ValueError, TypeError
        For arguments that ``fit_linear`` does not accept, lambdas that are negative, and where
        lambdas are to be found for data that have nothing to do with each other.
    """
    choice("penalty", penalty, ("l2", "l1"))
    data = Centred.of(features, targets)
    dtype = data.features.dtype
    tolerance = default_tolerance(dtype) if tolerance is None else tolerance
    tolerance = number("tolerance", tolerance, positive=True)
    curvature = data.curvature if curvature is None else number("curvature", curvature)
    if lambdas is None:
        largest = data.largest_lambda(penalty, curvature)
        if largest == 0:
            reject("features", "none that follows the targets", "at least one, or lambdas")
        lambdas = np.geomspace(largest, RATIO * largest, COUNT)
    lambdas = _descending(lambdas)
    optima, start = [], np.zeros(data.features.shape[1], dtype)
    for value in lambdas:
        options = {penalty: float(value)}
        steepest = curvature + options.get("l2", 0.0)
        optimum = descend(
            *("fit_linear", data.features, data.targets, start),
            step=1 / steepest if steepest > 0 else 1.0,
            tolerance=tolerance,
            kernel=kernel,
            **options,
        )
        optima.append(optimum)
        start = optimum.weights
    weights, steps, violations = map(np.array, zip(*optima))
    return Path(
        lambdas, data.target_mean - weights @ data.features_mean, weights, steps, violations
    )


def _descending(lambdas):
    lambdas = np.asarray(lambdas, np.float64)
    if lambdas.ndim != 1 or lambdas.size == 0:
        reject("lambdas", f"shape {lambdas.shape}", "a 1-D array of at least one number")
    for value in lambdas:
        number("lambdas", float(value))
    return np.sort(lambdas)[::-1]
