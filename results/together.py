"""Comparisons of one figure, which lend each other what they know of how processes differ.

Three processes say little about how far processes lie apart: Student's t with two degrees of
freedom asks for a difference 70 times its error before one of 80 comparisons may be called real.
But all comparisons of a figure were measured on one machine in one way. The variances of their
process medians are taken as draws from one distribution, whose scale and spread the figure itself
tells; each is then drawn towards that scale, the more so the less they vary. Where they are all
alike, a comparison has the degrees of freedom of the whole figure, and where they are as different
as can be, its own.

What troubles a block troubles all that is compared in it, the more so as all are compared with one
baseline. So none is taken to be steadier than the comparisons of its block are on the whole.

Source: Smyth, "Linear models and empirical Bayes methods for assessing differential expression"
(2004), sections 6.2 and 4.
"""

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import digamma, polygamma, stdtr, stdtrit

from convgrad.results.statistics import STOPPING, Comparison, median_interval, process_medians


def compare_together(comparisons, blocks, confidence=0.95):
    """Say how far each of some ratios is from 1.

    Parameters
    ----------
    comparisons : list of (log_ratios, processes)
        As `statistics.compare` takes them, none of them empty.
    blocks : list
        What each was measured in, hashable.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    list of statistics.Comparison
        As `statistics.compare` gives them, but for the shared variance of Student's t.
    """
    groups = [_evidence(*comparison) for comparison in comparisons]
    count = np.array([len(group) for group in groups])
    mean = np.array([group.mean() for group in groups])
    variance, freedom = _shared(
        np.array([group.var(ddof=1) if len(group) > 1 else np.nan for group in groups]), count - 1.0
    )
    typical = pd.Series(variance).groupby(pd.Index(blocks, tupleize_cols=False)).transform("median")
    error = np.sqrt(np.fmax(variance, typical.to_numpy()) / count)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(mean == 0, 1, 2 * stdtr(freedom, -np.abs(mean) / error) / STOPPING)
    half = -stdtrit(freedom, STOPPING * (1 - confidence) / 2) * error
    found = []
    for (ratios, _), m, h, one in zip(comparisons, mean, half, np.fmin(p, 1)):
        low, high, _ = median_interval(ratios, confidence)
        if 2 * h > high - low:
            low, high = m - h, m + h
        median = np.median(ratios)
        bounds = np.exp((median, min(low, median), max(high, median))).tolist()
        found.append(Comparison(*bounds, float(one)))
    return found


def _evidence(log_ratios, processes):
    """Medians of the processes, or the rounds of a single one."""
    medians = process_medians(log_ratios, processes)
    return medians if len(medians) > 1 else np.asarray(log_ratios)


def _shared(variance, freedom):
    """Variances drawn towards their common scale, and the degrees of freedom they have then."""
    known = variance > 0
    if known.sum() < 2:
        return variance, freedom
    scale, prior = _common(variance[known], freedom[known])
    # No comparison can know more than all of them together.
    total = np.minimum(freedom + prior, freedom[known].sum())
    if np.isinf(prior):
        return np.full(len(variance), scale), total
    own = np.where(np.isnan(variance), 0, freedom * variance)
    return (prior * scale + own) / (prior + freedom), total


def _common(variance, freedom):
    """Scale, and degrees of freedom that knowing it is worth: moments of log F (Smyth, 6.2)."""
    logs = np.log(variance) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = logs.var(ddof=1) - polygamma(1, freedom / 2).mean()
    if excess <= 0:  # they vary no more than estimates of one and the same variance do
        return np.exp(logs.mean()), np.inf
    half = brentq(lambda x: polygamma(1, x) - excess, 1e-4, 1e8)
    return np.exp(logs.mean() + digamma(half) - np.log(half)), 2 * half
