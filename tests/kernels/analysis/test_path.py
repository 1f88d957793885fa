"""Paths against closed forms, the conditions of a minimum, and scikit-learn."""

import numpy as np
import pytest

from convgrad.kernels.analysis import optimum
from convgrad.kernels.analysis.path import fit_path

DTYPES = (np.float32, np.float64)


def problem(dtype=np.float64, samples=60, features=8):
    """Correlated features, a sparse truth, an intercept, and noise."""
    draw = np.random.default_rng(7).standard_normal
    x = draw((samples, features)) + draw((samples, 1)) + 2
    truth = np.where(np.arange(features) % 3, 0, 2.0)
    return x.astype(dtype), (x @ truth + 5 + draw(samples)).astype(dtype)


def centred(x, y):
    return x - x.mean(axis=0), y - y.mean()


@pytest.mark.parametrize("dtype", DTYPES)
def test_l2_path_solves_the_normal_equations(dtype):
    x, y = problem(dtype)
    path = fit_path(x, y, "l2", tolerance=1e-10 if dtype == np.float64 else 1e-5)
    assert path.coefficients.dtype == dtype
    xc, yc = (a.astype(np.float64) for a in centred(x, y))
    expected = [
        np.linalg.solve(xc.T @ xc + value * np.eye(x.shape[1]), xc.T @ yc) for value in path.lambdas
    ]
    close = {"rtol": 1e-6, "atol": 1e-8} if dtype == np.float64 else {"rtol": 0, "atol": 1e-2}
    np.testing.assert_allclose(path.coefficients, expected, **close)
    np.testing.assert_allclose(path.predict(x).mean(axis=1), y.mean(), rtol=1e-4)
    assert not path.zeros.any()
    assert (path.violations <= (1e-10 if dtype == np.float64 else 1e-5)).all()
    # Without an end at zero, the norm falls as lambda grows.
    assert (np.diff(np.linalg.norm(path.coefficients, axis=1)) > 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_l1_path_meets_the_conditions_of_karush_kuhn_and_tucker(dtype):
    x, y = problem(dtype)
    path = fit_path(x, y, "l1")
    xc, yc = (a.astype(np.float64) for a in centred(x, y))
    allowed = 2 * optimum.default_tolerance(dtype) * np.abs(xc.T @ yc).max()
    for value, weights in zip(path.lambdas, path.coefficients.astype(np.float64)):
        slope = xc.T @ (yc - xc @ weights)
        active = weights != 0
        assert (np.abs(slope) <= value + allowed).all()
        assert np.abs(slope - value * np.sign(weights))[active].max(initial=0) <= allowed
    np.testing.assert_array_equal(path.zeros, (path.coefficients == 0).sum(axis=1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_l1_path_begins_where_the_last_coefficient_becomes_zero(dtype):
    x, y = problem(dtype)
    path = fit_path(x, y, "l1")
    assert path.zeros[0] == x.shape[1]
    below = fit_path(x, y, "l1", lambdas=[0.99 * path.lambdas[0]], tolerance=1e-5)
    assert below.zeros[0] < x.shape[1]
    np.testing.assert_allclose(path.predict(x)[0], y.mean(), rtol=1e-5)


def test_l1_path_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = problem()
    path = fit_path(x, y, "l1", tolerance=1e-11)
    alphas = path.lambdas / len(y)  # scikit-learn's objective is a mean over samples.
    _, coefficients, _ = linear_model.lasso_path(*centred(x, y), alphas=alphas, tol=1e-12)
    np.testing.assert_allclose(path.coefficients, coefficients.T, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(path.zeros, (coefficients == 0).sum(axis=0))


def test_intercept_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = problem()
    for penalty, model in [
        ("l2", linear_model.Ridge(alpha=9.0)),
        ("l1", linear_model.ElasticNet(alpha=9.0 / len(y), l1_ratio=1, tol=1e-12)),
    ]:
        path = fit_path(x, y, penalty, lambdas=[9.0], tolerance=1e-11)
        model.fit(x, y)
        np.testing.assert_allclose(path.intercepts[0], model.intercept_, rtol=1e-6)
        np.testing.assert_allclose(path.predict(x)[0], model.predict(x), rtol=1e-6)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_warm_starts_arrive_where_cold_ones_do(penalty):
    x, y = problem()
    warm = fit_path(x, y, penalty, lambdas=[0.1, 100.0, 10.0, 1.0], tolerance=1e-10)
    assert warm.lambdas.tolist() == [100, 10, 1, 0.1]
    cold = [fit_path(x, y, penalty, lambdas=[v], tolerance=1e-10) for v in warm.lambdas]
    np.testing.assert_allclose(
        warm.coefficients, [path.coefficients[0] for path in cold], rtol=1e-6, atol=1e-8
    )


def test_every_kernel_arrives_at_the_same_path():
    x, y = problem()
    first, second = (fit_path(x, y, "l1", lambdas=[5.0], kernel=k) for k in ("numpy", "gram"))
    np.testing.assert_allclose(first.coefficients, second.coefficients, rtol=1e-5, atol=1e-7)


def test_more_features_than_samples():
    x, y = problem(samples=10, features=25)
    path = fit_path(x, y, "l1", lambdas=[4.0])
    assert 0 < x.shape[1] - path.zeros[0] <= 10
    assert path.violations[0] <= optimum.default_tolerance(np.float64)


def test_descent_that_does_not_arrive_says_so(monkeypatch):
    monkeypatch.setattr(optimum, "_MOST_STEPS", 16)
    x, y = problem()
    with pytest.warns(RuntimeWarning, match=r"^fit_linear: violation .* after 16 steps"):
        path = fit_path(x, y, "l2", lambdas=[1e-3])
    assert path.steps.tolist() == [16]
    assert path.violations[0] > optimum.default_tolerance(np.float64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"penalty": "l3"}, "penalty: got 'l3', expected one of 'l2', 'l1'"),
        ({"lambdas": [1.0, -2.0]}, "lambdas: got -2.0, expected a finite non-negative number"),
        ({"lambdas": []}, "lambdas: got shape (0,), expected a 1-D array of at least one number"),
        ({"tolerance": 0.0}, "tolerance: got 0.0, expected a finite positive number"),
        ({"targets": np.ones((60, 2))}, "targets: got shape (60, 2), expected a 1-D array"),
        ({"targets": np.ones(3)}, "targets: got 3 samples, expected 60, as many as features"),
        (
            {"features": np.ones((60, 8))},
            "features: got none that follows the targets, expected at least one, or lambdas",
        ),
    ],
)
def test_bad_input_is_one_line(change, message):
    x, y = problem()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        fit_path(**{"features": x, "targets": y, "penalty": "l1"} | change)
    assert str(caught.value) == message
