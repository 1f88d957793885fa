"""Measured errors against the rates of theory, which are reached where they are sharp."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convgrad.kernels.analysis.conditioning import Conditioning, conditioning
from convgrad.kernels.analysis.convergence import measure_convergence


def design(eigenvalues, samples=30):
    """Features whose Gram matrix has these eigenvalues, and its eigenvectors as columns."""
    generator = np.random.default_rng(3)
    left, _ = np.linalg.qr(generator.standard_normal((samples, len(eigenvalues))))
    right, _ = np.linalg.qr(generator.standard_normal((len(eigenvalues),) * 2))
    return left * np.sqrt(eigenvalues) @ right.T, right


@given(st.floats(1e-6, 1e6), st.floats(1, 1e6), st.floats(0.01, 3))
def test_rates_are_the_textbook_ones(smallest, ratio, factor):
    condition = Conditioning(smallest * ratio, smallest)
    k = condition.number
    assert condition.rate(condition.safe_step) == pytest.approx(1 - 1 / k, abs=1e-12)
    assert condition.rate(condition.best_step) == pytest.approx((k - 1) / (k + 1), abs=1e-9)
    other = factor * condition.best_step
    assert condition.rate(other) >= condition.rate(condition.best_step) - 1e-9


def test_conditioning_counts_the_penalty():
    features, _ = design([16.0, 4.0, 1.0])
    assert conditioning(features) == pytest.approx((16, 1))
    assert conditioning(features, l2=2.0).number == pytest.approx(6)
    assert conditioning(features[:2]).number == float("inf")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", ["safe_step", "best_step"])
def test_errors_stay_below_the_bound(dtype, step):
    features, _ = design([16.0, 7.0, 4.0, 1.0])
    features = features.astype(dtype)
    targets = np.random.default_rng(0).standard_normal(len(features)).astype(dtype)
    given_step = getattr(conditioning(features, 0.5), step)
    names = ["numpy", "numba_fused", "gram"]
    series = measure_convergence(
        "fit_linear", features, targets, names, l2=0.5, step=given_step, iterations=64
    )
    assert [one.kernel for one in series] == names
    for one in series:
        assert one.iterations.tolist() == [1, 2, 4, 8, 16, 32, 64]
        assert (one.errors <= one.bounds + 200 * np.finfo(dtype).eps).all()
        assert one.errors[-1] < one.errors[0] / 10
        assert (one.seconds > 0).all()


def test_the_bound_is_reached_along_the_flattest_direction():
    features, vectors = design([16.0, 4.0, 1.0])
    (one,) = measure_convergence(
        "fit_linear", features, features @ vectors[:, 2], ["numpy"], iterations=32
    )
    np.testing.assert_allclose(one.bounds, (1 - 1 / 16) ** one.iterations)
    np.testing.assert_allclose(one.errors, one.bounds, rtol=1e-8)


@pytest.mark.parametrize("shape", [(200,), (20, 15)])
def test_filters_converge_at_the_rate_of_their_delayed_signals(shape):
    generator = np.random.default_rng(2)
    signal, targets = generator.standard_normal((2, *shape))
    taps = (3,) * len(shape)
    padded = np.pad(signal, [(2, 0)] * len(shape))
    delayed = [
        padded[tuple(slice(2 - t, 2 - t + n) for t, n in zip(tap, shape))].ravel()
        for tap in np.ndindex(taps)
    ]
    condition = conditioning(np.stack(delayed, axis=1))
    names = ["scipy_correlate", "numba_gram"]
    series = measure_convergence("fit_filter", signal, targets, names, taps=3, iterations=16)
    for one in series:
        np.testing.assert_allclose(
            one.bounds, condition.rate(condition.safe_step) ** one.iterations, rtol=1e-9
        )
        assert (one.errors <= one.bounds + 1e-12).all()
        assert one.errors[-1] < 0.5 * one.errors[0]


def test_a_series_ends_at_the_limit_of_the_given_clock():
    features, vectors = design([2.0, 1.0])
    ticks = itertools.count()
    (one,) = measure_convergence(
        *("fit_linear", features, features @ vectors[:, 1], ["numpy"]),
        limit=1.5,
        clock=lambda: float(next(ticks)),
    )
    assert one.seconds.tolist() == [1.0]  # Two calls of a second would be too long.
    assert len(one.iterations) == len(one.errors) == len(one.bounds) == 1


def test_all_kernels_take_part_unless_named():
    features, vectors = design([2.0, 1.0])
    series = measure_convergence("fit_linear", features, features @ vectors[:, 1], iterations=1)
    assert {"python_loops", "numba_fused", "numpy", "auto"} <= {one.kernel for one in series}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"operation": "convolve"}, "operation: got 'convolve', expected one of 'fit_linear'"),
        ({"targets": np.ones((30, 2))}, "targets: got shape (30, 2), expected a 1-D array"),
        ({"iterations": 0}, "iterations: got 0, expected an integer of at least 1"),
        ({"limit": 0}, "limit: got 0, expected a finite positive number"),
        ({"step": 0}, "step: got 0, expected a finite positive number"),
        ({"design": np.ones((30, 3))}, "design: got condition number"),
        ({"targets": np.zeros(30)}, "targets: got none that the design explains"),
    ],
)
def test_bad_input_is_one_line(change, message):
    features, _ = design([4.0, 2.0, 1.0])
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        measure_convergence(
            **{"operation": "fit_linear", "design": features, "targets": np.arange(30.0)} | change
        )
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
