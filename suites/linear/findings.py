"""What an analysis finds, as rows of tables; each function runs in a process of its own.

Linear models are of patients (diabetes), models of convolution of a cell's voltage: the change
from one moment to the next is predicted from the changes before it (Yule, 1927).
"""

import numpy as np

from convgrad.kernels import datasets, registry
from convgrad.kernels.analysis import (
    conditioning,
    cross_validate,
    measure_convergence,
    shuffled_folds,
    validate_filters,
)
from convgrad.kernels.data import membrane
from convgrad.results.findings import COEFFICIENT

MEASUREMENTS = (
    *("age", "sex", "body mass index", "blood pressure", "cholesterol", "LDL", "HDL"),
    *("cholesterol / HDL", "log triglycerides", "glucose"),
)
"""Of each patient; Efron et al. (2004)."""
STEPS = {"1/L": "safe_step", "2/(L + µ)": "best_step"}
"""Steps, as `kernels.analysis.conditioning` calls them."""
_MOMENTS = 12_000
_TAPS = 8
"""Of the filter whose convergence is measured."""


def path(penalty, folds):
    """A row a lambda, the largest first.

    Parameters
    ----------
    penalty : {"l2", "l1"}
    folds : int

    Returns
    -------
    list of dict
        ``penalty``, ``lambda``, ``zeros``, ``steps``; ``error`` and its ``standard_error`` over
        folds, ``test_error`` of patients that had no part in it, in the squared unit of the
        targets; ``chosen``, "least" or "one standard error"; and each coefficient.
    """
    data = datasets.load("diabetes")
    features, targets = (part.astype(np.float64) for part in data.development)
    test, test_targets = (part.astype(np.float64) for part in data.test)
    parts = shuffled_folds(len(targets), folds)
    fits, held_out = cross_validate(features, targets, penalty, parts)
    tested = ((fits.predict(test) - test_targets) ** 2).mean(axis=1)
    return [
        {
            "penalty": penalty,
            "lambda": fits.lambdas[place],
            "zeros": int(fits.zeros[place]),
            "steps": int(fits.steps[place]),
            "error": held_out.mean[place],
            "standard_error": held_out.standard_error[place],
            "test_error": tested[place],
            "chosen": _chosen(held_out, place),
            **{f"{COEFFICIENT}{n}": w for n, w in zip(MEASUREMENTS, fits.coefficients[place])},
        }
        for place in range(len(fits.lambdas))
    ]


def filters(taps, folds):
    """A row a size of the filter, the smallest first.

    Parameters
    ----------
    taps : sequence of int
        Ascending.
    folds : int

    Returns
    -------
    list of dict
        ``taps``; ``error``, the mean square of what is not predicted as a part of the mean square
        of the targets, and its ``standard_error`` over blocks of time; ``chosen``, as in `path`;
        and ``filter``, its taps with spaces between.
    """
    signal, targets = _changes()
    sizes = validate_filters(signal, targets, taps, folds=folds)
    whole, held_out = np.mean(targets**2), sizes.held_out
    return [
        {
            "taps": count,
            "error": held_out.mean[place] / whole,
            "standard_error": held_out.standard_error[place] / whole,
            "chosen": _chosen(held_out, place),
            "filter": " ".join(f"{tap:.6g}" for tap in sizes.filters[place]),
        }
        for place, count in enumerate(sizes.taps)
    ]


def convergence(operation, kernel, settings, iterations, limit):
    """A row a number of iterations, penalty and step of one kernel.

    Parameters
    ----------
    operation : {"fit_linear", "fit_filter"}
    kernel : str
    settings : sequence of (float, str)
        l2, in units of the largest eigenvalue, and the step, one of `STEPS`.
    iterations : int
        Most of them.
    limit : float
        Seconds that no call shall take.

    Returns
    -------
    list of dict
        ``operation``, ``kernel``, ``family``, ``penalty``, ``step``, ``condition``;
        ``iterations``, ``seconds`` of the shortest of three calls, ``error`` and ``bound`` as in
        `kernels.analysis.convergence.Series`.
    """
    if operation == "fit_linear":
        features, targets = (p.astype(np.float64) for p in datasets.load("diabetes").development)
        design, options = features - features.mean(axis=0), {}
        targets, matrix = targets - targets.mean(), design
    else:
        design, targets = _changes()
        options = {"taps": _TAPS}
        matrix = np.stack([_delayed(design, moments) for moments in range(_TAPS)], axis=1)
    largest = conditioning(matrix).largest
    rows = []
    for share, step in settings:
        condition = conditioning(matrix, share * largest)
        (series,) = measure_convergence(
            *(operation, design, targets, [kernel]),
            l2=share * largest,
            step=getattr(condition, STEPS[step]),
            iterations=iterations,
            limit=limit,
            **options,
        )
        told = {"operation": operation, "kernel": kernel}
        told |= {"family": registry.get(operation, kernel).family}
        told |= {"penalty": share, "step": step, "condition": condition.number}
        rows += [
            {**told, "iterations": count, "seconds": seconds, "error": error, "bound": bound}
            for count, seconds, error, bound in zip(*series[1:])
        ]
    return rows


def _changes():
    """Changes of a membrane's voltage, and the one after each of them."""
    changes = np.diff(membrane((_MOMENTS,)))
    return changes[:-1], changes[1:]


def _delayed(signal, moments):
    return np.concatenate([np.zeros(moments), signal[: len(signal) - moments]])


def _chosen(held_out, place):
    if place == held_out.least:
        return "least"
    return "one standard error" if place == held_out.one_standard_error else ""
