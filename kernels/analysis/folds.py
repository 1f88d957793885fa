"""Folds: what a model learns from, and what is held out from it.

Training, validation and test parts come with a data set (`convgrad.kernels.datasets`); folds divide
what is there to choose by.
"""

from typing import NamedTuple

import numpy as np

from convgrad.kernels.validation import integer, reject


class Fold(NamedTuple):
    """Indices of samples, in ascending order."""

    train: np.ndarray
    held_out: np.ndarray


def shuffled_folds(samples, count, *, seed=0, groups=None):
    """Divide samples into ``count`` parts, each held out once (Stone, 1974).

    Parameters
    ----------
    samples : int
    count : int
        At least 2.
    seed : int
        Of the shuffle.
    groups : array_like, shape (samples,), optional
        Whom a sample comes from; those of one group are held out together. Unless given, each
        is a group of its own.

    Returns
    -------
    list of Fold
        Sizes are as even as groups let them be: the largest group first, each to the part that
        has the fewest samples.

    Raises
    ------
    ValueError
        If there are fewer groups than parts, or not one label a sample.
    """
    samples = integer("samples", samples, at_least=1)
    count = integer("count", count, at_least=2)
    labels = np.arange(samples) if groups is None else np.asarray(groups)
    if labels.shape != (samples,):
        reject("groups", f"shape {labels.shape}", f"shape {(samples,)}, one label a sample")
    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < count:
        kind = "samples" if groups is None else "groups"
        reject("count", count, f"at most {len(sizes)}, the number of {kind}")
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    parts, taken = np.empty(len(sizes), np.int64), np.zeros(count, np.int64)
    for group in order:
        parts[group] = taken.argmin()
        taken[parts[group]] += sizes[group]
    part = parts[labels]
    return [Fold(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(count)]


def forward_folds(samples, count):
    """Divide a series into blocks, each predicted by what comes before it (Tashman, 2000).

    Neighbours in a series are alike, and a shuffle would put them on both sides.

    Parameters
    ----------
    samples : int
        At least ``count + 1``.
    count : int
        At least 2.

    Returns
    -------
    list of Fold
        Of ``count + 1`` blocks as even as can be: fold i is trained on the first ``i + 1``, and
        the next is held out.

    Raises
    ------
    ValueError
        If there are fewer samples than blocks.
    """
    count = integer("count", count, at_least=2)
    samples = integer("samples", samples, at_least=count + 1)
    ends = np.arange(1, count + 2) * samples // (count + 1)
    return [Fold(np.arange(end), np.arange(end, after)) for end, after in zip(ends, ends[1:])]
