"""Intervals that assume nothing about how times are distributed."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

ENOUGH = 6
"""Samples from which an interval of the median can cover 95 %: 1 - 2 / 2**6 = 0.969."""


class Interval(NamedTuple):
    """Bounds, and the probability with which they enclose the median."""

    low: float
    high: float
    coverage: float


def median_interval(values, confidence=0.95):
    """Interval of the median from order statistics: the sign test turned inside out.

    The number of independent samples below the median is binomial(n, 1/2) for every continuous
    distribution, so that ``P(x_(k) <= median <= x_(n+1-k)) = 1 - 2 P(B <= k - 1)`` exactly. The
    narrowest such interval that covers ``confidence`` is taken. Outliers, which timings always
    have, move it no more than any other sample on their side.

    Parameters
    ----------
    values : array_like of float
    confidence : float
        Between 0 and 1.

    Returns
    -------
    Interval
        (low, high, coverage). Where there are too few samples, it is (minimum, maximum) with the
        coverage that these have, less than ``confidence``; of no sample, (nan, nan, 0).

    Raises
    ------
    ValueError
        If a value is not finite, or ``confidence`` is no probability.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: got {confidence}, expected a number between 0 and 1")
    ordered = np.sort(_finite(values))
    if not ordered.size:
        return Interval(np.nan, np.nan, 0.0)
    rank, coverage = _rank(ordered.size, confidence)
    return Interval(float(ordered[rank - 1]), float(ordered[-rank]), coverage)


def quartiles(values):
    """First quartile, median and third quartile, with linear interpolation; nan of no sample."""
    values = _finite(values)
    if not values.size:
        return (np.nan,) * 3
    return tuple(float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))


@lru_cache(maxsize=1024)
def _rank(count, confidence):
    """Largest k for which ``x_(k) .. x_(count+1-k)`` covers, and its coverage."""
    ranks = np.arange(1, (count + 1) // 2 + 1)
    coverage = np.maximum(1 - 2 * bdtr(ranks - 1.0, count, 0.5), 0.0)
    k = max(int(np.count_nonzero(coverage >= confidence)), 1)
    return k, float(coverage[k - 1])


def _finite(values):
    values = np.asarray(values, dtype=float).ravel()
    if not np.isfinite(values).all():
        raise ValueError(f"values: got {values[~np.isfinite(values)][0]}, expected finite numbers")
    return values
