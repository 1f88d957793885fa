"""Fits taken to the end meet the solutions that other methods find, on real data."""

import numba
import numpy as np
import pytest
from scipy.linalg import toeplitz

from convgrad import kernels
from convgrad.kernels import data
from convgrad.kernels.gradient_descent import linear_numba_streamed

FIT_LINEAR = kernels.find("fit_linear", device="cpu")
FIT_FILTER = kernels.find("fit_filter", device="cpu")

every_linear = pytest.mark.parametrize("kernel", FIT_LINEAR, ids=lambda k: k.name)
every_filter = pytest.mark.parametrize("kernel", FIT_FILTER, ids=lambda k: k.name)


@pytest.fixture(scope="module")
def diabetes():
    pytest.importorskip("sklearn")
    arguments = kernels.Case.of(
        "fit_linear", "float64", data="diabetes", samples=442, features=10
    ).inputs()
    return arguments.arrays


@pytest.fixture(scope="module")
def series():
    """A noisy series, seen through an unknown filter of 7 taps with noise of its own."""
    generator = np.random.default_rng(0)
    signal = generator.standard_normal(400)
    taps = np.array([1.0, -2.0, 0.0, 3.0, 0.0, 0.5, 0.25])
    return signal, data.observed(signal, taps) + 0.1 * generator.standard_normal(400)


def assert_same(found, expected):
    """Within 1e-6 of the largest weight."""
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


def ridge(design, targets, l2):
    return np.linalg.solve(design.T @ design + l2 * np.eye(design.shape[1]), design.T @ targets)


def lasso(design, targets, l1):
    model = pytest.importorskip("sklearn.linear_model").Lasso(
        alpha=l1 / len(design), fit_intercept=False, tol=1e-12, max_iter=100_000
    )
    return model.fit(design, targets).coef_


def convolution_matrix(signal, taps):
    """The matrix A of the first outputs: ``A[s, t] = signal[s - t]``, zero before the signal."""
    return toeplitz(signal, np.zeros(taps))


@every_linear
def test_reaches_the_ridge_solution(kernel, diabetes):
    features, targets = diabetes
    found = kernel(features, targets, iterations=200, l2=0.5)
    assert_same(found, ridge(features, targets, 0.5))


@every_linear
def test_reaches_the_ridge_solution_of_each_output(kernel, diabetes):
    features, targets = diabetes
    both = np.stack([targets, np.roll(targets, 1), features[:, 2]], axis=1)
    found = kernel(features, both, iterations=200, l2=0.5)
    for output in range(3):
        assert_same(found[:, output], ridge(features, both[:, output], 0.5))


@pytest.mark.parametrize(
    "kernel", [k for k in FIT_LINEAR if k.name != "python_loops"], ids=lambda k: k.name
)
def test_reaches_least_squares_without_any_penalty(kernel, diabetes):
    features, targets = diabetes
    found = kernel(features, targets, iterations=12_000)
    assert_same(found, np.linalg.lstsq(features, targets)[0])


@every_linear
def test_reaches_the_lasso_solution(kernel, diabetes):
    features, targets = diabetes
    found = kernel(features, targets, iterations=250, l1=200.0)
    expected = lasso(features, targets, 200.0)
    assert_same(found, expected)
    assert 0 < np.count_nonzero(expected) < 10
    assert np.array_equal(found == 0, expected == 0)


@every_linear
def test_a_solution_stays_where_it_is(kernel, diabetes):
    features, targets = diabetes
    solution = np.linalg.lstsq(features, targets)[0]
    assert_same(kernel(features, targets, iterations=3, weights=solution), solution)


@every_linear
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_a_large_l1_leaves_exact_zeros(kernel, diabetes, outputs):
    features, targets = diabetes
    targets = np.broadcast_to(targets[(..., *[np.newaxis] * len(outputs))], (442, *outputs))
    most = np.abs(features.T @ targets).max()
    start = np.full((10, *outputs), 0.1)
    found = kernel(features, targets, iterations=100, l1=2 * most, weights=start)
    assert not found.any()


# Sizes that reach each of the loops: few features; rows that meet lines alike, of which four,
# three, two or eight go together, and too few for that; outputs; and rows as they come from memory,
# to which X would have to be large.
@pytest.mark.parametrize(
    ("outputs", "from_memory"),
    [*((count, False) for count in (1, 2, 3, 8, 17, 40)), (1, True)],
)
@pytest.mark.parametrize("features", [3, 19, 31, 67, 131, 449, 523, 2101])
def test_fused_linear_fit_is_the_same_on_any_number_of_threads(
    features, outputs, from_memory, monkeypatch
):
    if from_memory:
        monkeypatch.setattr(linear_numba_streamed, "LEAST", 0)
    fused = kernels.get("fit_linear", "numba_fused")
    generator = np.random.default_rng(features)
    samples = 900_001 // features
    x, start = generator.standard_normal((samples, features)), np.zeros((features, outputs))
    y = generator.standard_normal((samples, outputs))
    options = {"iterations": 2, "step": 0.5 / samples, "l2": 3.0, "weights": start}
    before, found = numba.get_num_threads(), []
    try:
        for threads in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(threads)
            found.append(fused(x, y, **options))
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(found[0], found[-1])
    expected = start
    for _ in range(2):
        gradient = x.T @ (x @ expected - y) + 3.0 * expected
        expected = expected - 0.5 / samples * gradient
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_the_step_of_a_linear_fit_is_one_over_the_curvature(diabetes, l2):
    features, targets = diabetes
    steepest = np.linalg.svd(features, compute_uv=False)[0] ** 2 + l2
    bound = kernels.operation("fit_linear").bind(features, targets, iterations=1, l2=l2)
    assert bound.options["step"] == pytest.approx(1 / steepest, rel=1e-9)
    chosen, given = (
        FIT_LINEAR[0](features, targets, iterations=5, l2=l2, step=step)
        for step in (None, 1 / steepest)
    )
    assert_same(chosen, given)


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (600, 700)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_step_of_a_linear_fit_of_any_size(shape, dtype):
    features = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    steepest = np.linalg.svd(features, compute_uv=False)[0] ** 2
    bound = kernels.operation("fit_linear").bind(features, features[:, 0], iterations=1)
    assert bound.options["step"] == pytest.approx(1 / steepest, rel=1e-2)


@pytest.mark.parametrize("taps", [7, 40])  # with more than 19 taps the curvature is iterated for
def test_the_step_of_a_filter_fit_is_one_over_the_curvature(series, taps):
    signal, targets = series
    steepest = np.linalg.svd(convolution_matrix(signal, taps), compute_uv=False)[0] ** 2
    bound = kernels.operation("fit_filter").bind(signal, targets, taps=taps, iterations=1)
    assert bound.options["step"] == pytest.approx(1 / steepest, rel=1e-3)


@every_filter
def test_finds_the_blur_of_a_photograph_again(kernel):
    pytest.importorskip("sklearn")
    pytest.importorskip("PIL")
    image = data.photograph((264, 264))[200:, 200:]
    image = image - image.mean()  # all taps see the mean alike: it would slow the descent
    blur = np.array([[5.0, 4.0, 1.0], [3.0, 2.0, 1.0]]) / 16
    found = kernel(image, data.observed(image, blur), taps=(2, 3), iterations=800)
    assert_same(found, blur)


@every_filter
def test_reaches_the_least_squares_filter(kernel, series):
    signal, targets = series
    found = kernel(signal, targets, taps=7, iterations=200, l2=20.0)
    assert_same(found, ridge(convolution_matrix(signal, 7), targets, 20.0))


@every_filter
def test_reaches_the_sparse_filter(kernel, series):
    signal, targets = series
    found = kernel(signal, targets, taps=7, iterations=300, l1=40.0)
    expected = lasso(convolution_matrix(signal, 7), targets, 40.0)
    assert_same(found, expected)
    assert np.array_equal(found == 0, expected == 0)
    assert (expected == 0).any()
