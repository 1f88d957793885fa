"""Errors of folds against fits of their own, and against scikit-learn."""

import numpy as np
import pytest

from convgrad.kernels import data, datasets
from convgrad.kernels.analysis.cross_validation import cross_validate
from convgrad.kernels.analysis.folds import shuffled_folds


@pytest.fixture(scope="module")
def patients():
    try:
        part = datasets.load("diabetes").development
    except data.Missing as missing:
        pytest.skip(str(missing))
    return tuple(array.astype(np.float64) for array in part)


def test_l2_errors_are_those_of_the_normal_equations(patients):
    x, y = patients
    folds = shuffled_folds(len(y), 3, seed=1)
    path, held_out = cross_validate(x, y, "l2", folds, lambdas=[50.0, 500.0])
    assert held_out.errors.shape == (3, 2)
    for (train, out), errors in zip(folds, held_out.errors):
        mean, level = x[train].mean(axis=0), y[train].mean()
        design = x[train] - mean
        for value, error in zip(path.lambdas, errors):
            gram = design.T @ design + value * len(train) / len(y) * np.eye(x.shape[1])
            weights = np.linalg.solve(gram, design.T @ (y[train] - level))
            predicted = level + (x[out] - mean) @ weights
            assert error == pytest.approx(np.mean((predicted - y[out]) ** 2), rel=1e-6)


def test_l1_choice_agrees_with_scikit_learn(patients):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = patients
    folds = shuffled_folds(len(y), 5, seed=0)
    lambdas = np.geomspace(1e4, 1e1, 12)
    path, held_out = cross_validate(x, y, "l1", folds, lambdas=lambdas, tolerance=1e-7)
    model = linear_model.LassoCV(alphas=lambdas / len(y), cv=folds, tol=1e-9).fit(x, y)
    np.testing.assert_allclose(held_out.errors, model.mse_path_.T, rtol=1e-4)
    assert path.lambdas[held_out.least] == pytest.approx(model.alpha_ * len(y))
    assert held_out.one_standard_error <= held_out.least


def test_one_fold_is_refused():
    folds = shuffled_folds(6, 2)[:1]
    with pytest.raises(ValueError, match="^folds: got 1, expected at least 2"):
        cross_validate(np.eye(6), np.arange(6.0), "l2", folds)
