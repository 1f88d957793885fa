"""Intervals and tests of medians, for samples that come in processes and are alike within one.

Two views of the same samples are taken, and the more careful one counts. Order statistics assume
nothing about how times are distributed, but that samples are independent; they are not, within a
process: its memory layout and its minute of the day are common to all of them. The medians of
processes carry whatever is common to one, and Student's t needs but two of them.

Sources: Hoefler and Belli, "Scientific Benchmarking of Parallel Computing Systems" (2015);
Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time" (2013).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, stdtr, stdtrit

ENOUGH = 6
"""Samples from which an interval of the median can cover 95 %: 1 - 2 / 2**6 = 0.969."""

STOPPING = 0.4
"""Share of the admitted error that Student's t may commit; the rest is left to the stopping rule.

A run that looks several times and stops where its interval is narrow stops too often where three
processes agree by luck, so that an interval of 95 % would cover less. `convgrad certify` simulates
what this share leaves: at least 94 %, with up to four looks and noise that lasts.
"""


class Interval(NamedTuple):
    """Bounds, and the probability with which they enclose the median."""

    low: float
    high: float
    coverage: float


class Comparison(NamedTuple):
    """A median ratio, its interval, and the probability of such a one were it truly 1."""

    ratio: float
    low: float
    high: float
    p: float


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


def published(values, processes, confidence=0.95):
    """Interval of the median of positive values, the wider of two in ratio.

    Parameters
    ----------
    values : array_like of float
        Greater than 0.
    processes : array_like of int
        The process of each value.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    Interval
        The order-statistic interval of all values (`median_interval`) or, where it is wider, that
        of Student's t over the processes' medians, on the logarithm; extended to the median of
        all values where that lies outside.

    Raises
    ------
    ValueError
        If a value is not finite and greater than 0.
    """
    values = _finite(values)
    if (values <= 0).any():
        raise ValueError(f"values: got {values.min()}, expected numbers greater than 0")
    if not values.size:
        return Interval(np.nan, np.nan, 0.0)
    low, high, coverage = _wider(np.log(values), processes, confidence)
    median = np.median(values)
    return Interval(float(min(np.exp(low), median)), float(max(np.exp(high), median)), coverage)


def mean_interval(values, confidence=0.95):
    """Student's interval of the mean of independent values.

    Parameters
    ----------
    values : array_like of float
    confidence : float
        Between 0 and 1.

    Returns
    -------
    Interval
        (nan, nan, 0) of fewer than two values: nothing is known of how they differ.
    """
    values = _finite(values)
    if values.size < 2:
        return Interval(np.nan, np.nan, 0.0)
    half = -stdtrit(values.size - 1, (1 - confidence) / 2)
    half *= values.std(ddof=1) / np.sqrt(values.size)
    return Interval(float(values.mean() - half), float(values.mean() + half), confidence)


def compare(log_ratios, processes, confidence=0.95):
    """Say how far a ratio is from 1, from logarithms of ratios within rounds.

    Parameters
    ----------
    log_ratios : array_like of float
        One a round in which both were measured.
    processes : array_like of int
        The process of each.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    Comparison
        The median ratio; its interval, as `published` makes it; and ``p`` of "the ratio is 1" from
        Student's t over the medians of the processes, or over the rounds of a single one: a sign
        test of n rounds cannot say less than ``2 ** (1 - n)``, too much for any figure with many
        comparisons. Nan, and ``p`` of 1, of no round.
    """
    log_ratios = _finite(log_ratios)
    if not log_ratios.size:
        return Comparison(np.nan, np.nan, np.nan, 1.0)
    low, high, _ = _wider(log_ratios, processes, confidence)
    median = np.median(log_ratios)
    bounds = np.exp((median, min(low, median), max(high, median))).tolist()
    medians = process_medians(log_ratios, processes)
    return Comparison(*bounds, _t_test(medians if len(medians) > 1 else log_ratios))


def holm(p_values):
    """Adjust p values so that among them all one error is as rare as it was in each.

    The step-down method of Holm, "A simple sequentially rejective multiple test procedure" (1979):
    whatever the tests have to do with each other, a true hypothesis has an adjusted value of at
    most ``alpha`` somewhere with a probability of at most ``alpha``.

    Parameters
    ----------
    p_values : array_like of float

    Returns
    -------
    ndarray of float
        In the order of ``p_values``.
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values, kind="stable")
    left = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(left * p_values[order]), 1)
    return adjusted


def process_medians(values, processes):
    """Median of the values of each process, in ascending order of the processes."""
    values, processes = np.asarray(values), np.asarray(processes)
    order = np.lexsort((values, processes))
    _, first, count = np.unique(processes[order], return_index=True, return_counts=True)
    ordered = values[order]
    return (ordered[first + (count - 1) // 2] + ordered[first + count // 2]) / 2


def quartiles(values):
    """First quartile, median and third quartile, with linear interpolation; nan of no sample."""
    values = _finite(values)
    if not values.size:
        return (np.nan,) * 3
    return tuple(float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))


def _wider(values, processes, confidence):
    """Wider one of the interval over all values and that over processes."""
    over_values = median_interval(values, confidence)
    over_processes = _t_interval(process_medians(values, processes), confidence)
    return max(over_values, over_processes, key=lambda interval: interval.high - interval.low)


def _t_interval(medians, confidence):
    """Student's interval of the mean; of one process it is empty, for nothing is known."""
    if len(medians) < 2:
        return Interval(medians[0], medians[0], 0.0)
    low, high, _ = mean_interval(medians, 1 - STOPPING * (1 - confidence))
    return Interval(low, high, confidence)


def _t_test(values):
    """Two-sided p of "the mean is 0"; 1 of a single value."""
    count = len(values)
    if count < 2:
        return 1.0
    error = values.std(ddof=1) / np.sqrt(count)
    if not error:
        return float(not values.any())
    return float(min(2 * stdtr(count - 1, -abs(values.mean()) / error) / STOPPING, 1))


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
