"""Sizes of filters: a known one is found, and a recording is predicted better by more taps."""

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.signal import convolve

from convgrad.kernels import data
from convgrad.kernels.analysis.filters import validate_filters

TRUTH = np.array([1.0, -0.8, 0.6, -0.4, 0.5])


def series(dtype=np.float64):
    draw = np.random.default_rng(5).standard_normal
    signal = draw(600)
    return signal.astype(dtype), (convolve(signal, TRUTH)[:600] + 0.5 * draw(600)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_size_of_a_known_filter_is_found(dtype):
    sizes = validate_filters(*series(dtype), (1, 3, 5, 7, 9))
    assert sizes.held_out.errors.shape == (5, 5)
    assert sizes.taps[sizes.held_out.one_standard_error] == 5
    assert sizes.held_out.mean[2] == pytest.approx(0.25, rel=0.2)  # What the noise leaves.
    np.testing.assert_allclose(sizes.filters[2], TRUTH, atol=0.1)
    assert [one.dtype for one in sizes.filters] == [dtype] * 5


@pytest.mark.parametrize("kernel", ["numba_gram", "scipy_correlate"])
def test_filters_and_errors_are_those_of_the_normal_equations(kernel):
    signal, targets = series()
    sizes = validate_filters(
        signal, targets, (2, 4), folds=3, l2=60.0, tolerance=1e-10, kernel=kernel
    )
    for column, taps in enumerate(sizes.taps):
        design = toeplitz(signal, np.zeros(taps))

        def fitted(samples, design=design, taps=taps):
            seen, penalty = design[:samples], 60.0 * samples / 600 * np.eye(taps)
            return np.linalg.solve(seen.T @ seen + penalty, seen.T @ targets[:samples])

        np.testing.assert_allclose(sizes.filters[column], fitted(600), rtol=1e-7)
        for row, end in enumerate((150, 300, 450)):
            residuals = (design @ fitted(end) - targets)[end : end + 150]
            expected = np.mean(residuals**2)
            assert sizes.held_out.errors[row, column] == pytest.approx(expected, rel=1e-7)


def test_an_image_is_filtered_along_both_axes():
    draw = np.random.default_rng(1).standard_normal
    image, truth = draw((40, 30)), draw((2, 2))
    targets = convolve(image, truth)[:40, :30]
    sizes = validate_filters(image, targets, (1, 2, 3), folds=2)
    assert sizes.held_out.mean[0] > 0.1
    assert sizes.held_out.mean[1] < 1e-12
    np.testing.assert_allclose(sizes.filters[2], np.pad(truth, (0, 1)), atol=1e-6)


def test_a_recording_predicts_itself_better_by_more_taps_than_by_one():
    voltage = data.membrane((6000,))
    voltage -= voltage.mean()
    sizes = validate_filters(voltage[:-1], voltage[1:], (1, 3, 5), tolerance=1e-5)
    assert sizes.held_out.least > 0
    assert sizes.held_out.mean.max() < 0.1 * voltage.var()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taps": ()}, "taps: got (), expected at least one integer, in ascending order"),
        ({"taps": (3, 1)}, "taps: got (3, 1), expected at least one integer, in ascending order"),
        ({"taps": (0, 2)}, "taps: got 0, expected an integer of at least 1"),
        ({"taps": (150,)}, "taps: got 150, expected at most 100, the samples of the first fold"),
        ({"folds": 1}, "count: got 1, expected an integer of at least 2"),
        ({"signal": np.zeros(600)}, "signal: got zeros only, expected something to filter"),
        ({"l2": -1.0}, "l2: got -1.0, expected a finite non-negative number"),
    ],
)
def test_bad_input_is_one_line(change, message):
    signal, targets = series()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        validate_filters(**{"signal": signal, "targets": targets, "taps": (1, 2)} | change)
    assert str(caught.value) == message
