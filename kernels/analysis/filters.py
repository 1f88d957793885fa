"""The size of a filter, by validation: how many taps pay on samples that were held out."""

from typing import NamedTuple

import numpy as np

from convgrad.kernels import registry
from convgrad.kernels.analysis.folds import forward_folds
from convgrad.kernels.analysis.held_out import HeldOut
from convgrad.kernels.analysis.optimum import default_tolerance, descend
from convgrad.kernels.validation import number, reject


class FilterSizes(NamedTuple):
    """Filters of several sizes, the smallest first.

    ``taps[held_out.least]`` is the size of least error, and
    ``taps[held_out.one_standard_error]`` the smallest that cannot be told from it.

    Attributes
    ----------
    taps : tuple of int
        Taps along each axis.
    filters : list of ndarray
        Fitted to all samples.
    held_out : HeldOut
    """

    taps: tuple
    filters: list
    held_out: HeldOut


def validate_filters(
    signal, targets, taps, *, folds=5, l2=0.0, tolerance=None, kernel="numba_gram"
):
    """Fit filters of several sizes to the beginning of a signal, and predict what comes next.

    A filter begins as the smaller one before it, with zeros for the new taps. The Gram matrix of
    fewer taps is a part of that of more, and that of fewer samples is less: the largest
    eigenvalue at most taps and all samples, computed once, gives the step of every fit.

    Parameters
    ----------
    signal, targets : array_like, 1-D or 2-D, of one shape
        As in ``fit_filter``; held out along the first axis.
    taps : sequence of int
        Ascending; each serves every axis.
    folds : int
        Blocks to predict, at least 2; see `folds.forward_folds`.
    l2 : float
        Penalty at all samples; folds get their share.
    tolerance : float, optional
        As in `path.fit_path`.
    kernel : str
        Kernel of ``fit_filter``. The steps of a Gram kernel never see the signal, and a smooth
        one takes thousands of them.

    Returns
    -------
    FilterSizes
        Errors in the squared unit of the targets.

    Raises
    ------
    ValueError, TypeError
        For arguments that ``fit_filter`` does not accept, sizes that do not ascend, and more taps
        than the first fold has samples.
    """
    taps = tuple(taps)
    if not taps or any(b <= a for a, b in zip(taps, taps[1:])):
        reject("taps", taps, "at least one integer, in ascending order")
    operation = registry.operation("fit_filter")
    for count in taps:
        bound = operation.bind(signal, targets, taps=count, iterations=1, step=1.0, l2=l2)
    signal, targets = bound.arrays
    parts = forward_folds(len(signal), folds)
    if taps[-1] > len(parts[0].train):
        reject("taps", taps[-1], f"at most {len(parts[0].train)}, the samples of the first fold")
    tolerance = default_tolerance(signal.dtype) if tolerance is None else tolerance
    tolerance = number("tolerance", tolerance, positive=True)
    curvature = operation.curvature(signal, bound.options["weights"].shape)
    if curvature == 0:
        reject("signal", "zeros only", "something to filter")

    def fitted(samples):
        share = l2 * samples / len(signal)
        weights = np.zeros((0,) * signal.ndim, signal.dtype)
        for count in taps:
            weights = np.pad(weights, [(0, count - len(weights))] * signal.ndim)
            weights = descend(
                *("fit_filter", signal[:samples], targets[:samples], weights),
                step=1 / (curvature + l2),
                l2=share,
                tolerance=tolerance,
                kernel=kernel,
            ).weights
            yield weights

    errors = []
    for train, held_out in parts:
        row = []
        for weights in fitted(len(train)):
            predict, _ = operation.model(signal, weights.shape)
            row.append(float(np.mean((predict(weights) - targets)[held_out] ** 2)))
        errors.append(row)
    return FilterSizes(taps, list(fitted(len(signal))), HeldOut(np.array(errors)))
