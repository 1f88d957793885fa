"""Filters fitted in tiles and by normal equations: the laws that their parts obey."""

from math import prod

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convgrad import kernels
from convgrad.kernels.gradient_descent import filter_gram, filter_gram_fft
from convgrad.kernels.gradient_descent.reference import filter_model
from convgrad.kernels.vector import lanes_of

KERNELS = [kernels.get("fit_filter", f"numba_{name}") for name in ("tiles", "gram", "gram_fft")]

sides = st.tuples(st.integers(1, 9), st.integers(1, 40)).flatmap(
    lambda shape: st.tuples(
        st.just(shape), st.tuples(*(st.integers(1, n) for n in shape)), st.integers(0, 9)
    )
)


def random_image(shape, seed, dtype="float64"):
    return np.random.default_rng(seed).standard_normal((2, *shape)).astype(dtype)


def both_products(signal, targets, taps):
    """``A^T A`` and ``A^T y``, one unit filter after the other."""
    predict, correlate = filter_model(signal, taps)
    units = np.eye(prod(taps)).reshape(-1, *taps)
    return (
        np.stack([correlate(predict(unit)).ravel() for unit in units]),
        correlate(targets),
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sides)
@pytest.mark.parametrize(
    ("lagged_products", "whole"),
    [(filter_gram.lagged_products, False), (filter_gram_fft._lagged_products, True)],
    ids=["tiles", "fft"],
)
def test_lagged_products_make_the_normal_equations(lagged_products, whole, drawn):
    shape, taps, seed = drawn
    signal, targets = random_image(shape, seed)
    pull, products = lagged_products(signal, targets, taps)
    found = filter_gram.gram_matrix(signal, taps, products, whole=whole)
    curvature, expected = both_products(signal, targets, taps)
    size = prod(taps)
    np.testing.assert_allclose(found[:size, :size], curvature, rtol=0, atol=1e-11)
    np.testing.assert_allclose(pull, expected, rtol=0, atol=1e-11)
    assert not found[size:].any()
    assert not found[:, size:].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("points", [2, 3, 4, 6, 8, 9, 12, 27, 32, 36, 48, 162, 1152])
def test_transforms_are_those_of_numpy(points, dtype):
    lanes = lanes_of(dtype)
    generator = np.random.default_rng(points)
    work = generator.standard_normal((points, 2, lanes)).astype(dtype)
    expected = np.fft.fft(work[:, 0] + 1j * work[:, 1], axis=0)
    radices, factors, places = filter_gram_fft._plan(points, np.dtype(dtype))
    flat = work.ravel()
    filter_gram_fft._transform(flat, radices, factors)
    found = flat.reshape(work.shape)[places]
    error = np.abs(found[:, 0] + 1j * found[:, 1] - expected).max()
    assert error <= 20 * np.finfo(dtype).eps * np.abs(expected).max()


@given(st.integers(1, 10**7))
def test_lengths_are_the_next_products_of_twos_and_threes(least):
    length = filter_gram_fft._length(least)
    smooth = {2**i * 3**j for i in range(26) for j in range(17)} - {1}
    assert length == min(n for n in smooth if n >= least)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@pytest.mark.parametrize(
    ("shape", "taps"), [((40_000,), (70,)), ((150, 300), (6, 7)), ((120, 130), (30, 25))]
)
def test_results_do_not_depend_on_threads(kernel, shape, taps):
    signal, targets = random_image(shape, 1, "float32")
    before = numba.get_num_threads()
    try:
        found = []
        for threads in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(threads)
            found.append(kernel(signal, targets, taps=taps, iterations=3, step=1e-6))
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(found[0], other) for other in found)


@pytest.mark.parametrize("factor", [2.0**-90, 2.0**30])
def test_large_targets_do_not_drown_the_signal_in_one_transform(factor):
    signal, targets = random_image((3000,), 2, "float32")
    options = {"taps": 20, "iterations": 5, "step": 1e-4}
    fit = kernels.get("fit_filter", "numba_gram_fft")
    found = fit(signal, targets * np.float32(factor), **options)
    assert np.array_equal(found, fit(signal, targets, **options) * np.float32(factor))


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_a_signal_of_zeros_leaves_the_weights_to_the_penalties(kernel):
    found = kernel(np.zeros(50), np.ones(50), taps=3, iterations=2, step=0.5, weights=np.ones(3))
    assert np.array_equal(found, np.ones(3))
