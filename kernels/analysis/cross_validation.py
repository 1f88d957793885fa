"""Lambda by cross-validation: the error of a path on data that its models have not seen."""

from typing import NamedTuple

import numpy as np

from convgrad.kernels.analysis.held_out import HeldOut
from convgrad.kernels.analysis.path import Centred, Path, fit_path
from convgrad.kernels.validation import reject


class CrossValidation(NamedTuple):
    """A path of all samples, and what its lambdas are worth.

    ``path.lambdas[held_out.least]`` is the lambda of least error, and
    ``path.lambdas[held_out.one_standard_error]`` the largest that cannot be told from it.
    """

    path: Path
    held_out: HeldOut


def cross_validate(features, targets, penalty, folds, *, lambdas=None, tolerance=None):
    """Fit a path to all samples and to the training part of each fold.

    The objective sums over samples, so that a fold with nine tenths of them gets nine tenths of
    each lambda. No sum of squares about a mean grows when samples are left out: the largest
    eigenvalue of all samples, computed once, gives a step for every fold.

    Parameters
    ----------
    features, targets, penalty, lambdas, tolerance
        As in `path.fit_path`.
    folds : sequence of Fold
        At least 2; see `folds.shuffled_folds`.

    Returns
    -------
    CrossValidation
        Errors in the squared unit of the targets.
    """
    folds = list(folds)
    if len(folds) < 2:
        reject("folds", len(folds), "at least 2, or errors have no standard error")
    data = Centred.of(features, targets)
    features, targets = np.asarray(features), np.asarray(targets)
    options = {"tolerance": tolerance, "curvature": data.curvature}
    whole = fit_path(features, targets, penalty, lambdas=lambdas, **options)
    errors = []
    for train, held_out in folds:
        part = fit_path(
            *(features[train], targets[train], penalty),
            lambdas=whole.lambdas * (len(train) / len(targets)),
            **options,
        )
        residuals = part.predict(features[held_out]) - targets[held_out]
        errors.append((residuals**2).mean(axis=1))
    return CrossValidation(whole, HeldOut(np.array(errors)))
