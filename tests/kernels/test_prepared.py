"""Weights that are kept between calls."""

import numpy as np
import pytest

from convgrad import kernels
from convgrad.kernels import Unsupported

SIGNAL, TAPS = np.arange(8.0), np.array([1.0, -2.0, 0.5])


class Counting:
    """A `prepare` that counts how often it is asked, and for which weights."""

    def __init__(self):
        self.asked = []

    def __call__(self, taps, *, mode):
        self.asked.append((taps.dtype.name, mode))
        return lambda signal, out=None: np.convolve(signal, taps, mode)


def make(function=None, **declared):
    def plain(signal, taps, *, mode):
        """Convolve."""
        return np.convolve(signal, taps, mode)

    return kernels.Kernel("counting", "convolve", function or plain, "scipy", **declared)


def test_weights_are_prepared_once_for_each_dtype():
    counting = Counting()
    prepared = make(prepares=counting).prepare(TAPS.astype(np.float32), mode="same")
    for dtype in ("float32", "float32", "float64", "int8"):
        result = prepared(SIGNAL.astype(dtype))
        assert result.dtype == np.result_type(dtype, np.float32)
        np.testing.assert_allclose(result, np.convolve(SIGNAL, TAPS, "same"))
    assert counting.asked == [("float32", "same"), ("float64", "same")]


def test_the_callers_weights_are_copied():
    taps = TAPS.copy()
    prepared = make(prepares=Counting()).prepare(taps)
    taps[:] = 0
    np.testing.assert_array_equal(prepared(SIGNAL), np.convolve(SIGNAL, TAPS))


def test_a_shape_that_was_seen_is_not_validated_again(monkeypatch):
    prepared = make(prepares=Counting()).prepare(TAPS)
    prepared(SIGNAL)
    monkeypatch.setattr(prepared.definition, "bind", None)
    np.testing.assert_array_equal(prepared(2 * SIGNAL), np.convolve(2 * SIGNAL, TAPS))


def test_a_signal_shorter_than_its_taps_in_mode_valid():
    prepared = make(prepares=Counting()).prepare(SIGNAL, mode="valid")
    for _ in range(2):
        np.testing.assert_array_equal(prepared(TAPS), np.convolve(SIGNAL, TAPS, "valid"))


def test_an_option_that_depends_on_the_image_is_resolved_anew():
    k = kernels.get("conv2d", "fft")
    generator = np.random.default_rng(0)
    filters = generator.standard_normal((2, 3, 3, 3))
    prepared = k.prepare(filters, stride=2, padding="same")
    for side in (7, 8, 7):
        images = generator.standard_normal((1, 3, side, side))
        plain = k(images, filters, stride=2, padding="same")
        np.testing.assert_allclose(prepared(images), plain, atol=1e-12)


@pytest.mark.parametrize(
    ("weights", "options", "error", "message"),
    [
        (np.ones((2, 2, 2, 2)), {}, ValueError, "taps: got shape"),
        ([], {}, ValueError, "taps: got an empty array"),
        (TAPS * 1j, {}, TypeError, "taps: got dtype complex128"),
        (TAPS, {"mode": "x"}, ValueError, "mode: got 'x'"),
        (TAPS, {"stride": 2}, TypeError, "unexpected keyword argument 'stride'"),
    ],
)
def test_weights_and_options_are_validated_at_once(weights, options, error, message):
    with pytest.raises(error, match=message):
        make(prepares=Counting()).prepare(weights, **options)


def test_an_image_of_other_channels():
    prepared = kernels.get("conv2d", "fft").prepare(np.ones((2, 3, 3, 3)))
    with pytest.raises(ValueError, match="images: got 4 channels, expected 3"):
        prepared(np.ones((1, 4, 8, 8)))


@pytest.mark.parametrize(
    ("operation", "name", "message"),
    [
        ("convolve", "numpy", "convolve by numpy: it cannot prepare weights"),
        ("fit_linear", "numpy", "fit_linear by numpy: fit_linear has no weights to prepare"),
        (
            "conv2d_filter_gradient",
            "im2col",
            "conv2d_filter_gradient has no weights to prepare",
        ),
    ],
)
def test_kernels_that_keep_nothing(operation, name, message):
    with pytest.raises(Unsupported, match=message):
        kernels.get(operation, name).prepare(TAPS)


def test_kernels_that_cannot_run_here():
    k = make(prepares=Counting(), requires=("no_such_module_here",))
    with pytest.raises(Unsupported, match="no_such_module_here is not installed"):
        k.prepare(TAPS)


def test_arguments_that_the_kernel_does_not_serve():
    def serves(signal, taps, *, mode):
        return "it needs more samples" if len(signal) < 5 else None

    prepared = make(prepares=Counting(), serves=serves).prepare(TAPS)
    assert len(prepared(SIGNAL)) == 10
    with pytest.raises(Unsupported, match="it needs more samples"):
        prepared(SIGNAL[:4])


def test_out_needs_a_kernel_that_writes_in_place():
    with pytest.raises(Unsupported, match="it cannot write into a given array"):
        make(prepares=Counting()).prepare(TAPS)(SIGNAL, out=np.empty(10))
    prepared = kernels.get("convolve", "overlap_save").prepare(TAPS)
    with pytest.raises(ValueError, match="out: got shape"):
        prepared(SIGNAL, out=np.empty(9))
    buffer = np.ones(18)
    with pytest.raises(ValueError, match="out: got an array that overlaps"):
        prepared(buffer[:8], out=buffer[4:14])
