"""Filter fit by FFT: both passes through the frequencies, the signal's transform kept."""

from math import prod

import numba
from scipy.fft import irfftn, next_fast_len, rfftn

from convgrad.kernels.gradient_descent.reference import soft_threshold
from convgrad.kernels.registry import kernel

_SMALLEST_SHARED = 1 << 16
"""Points of a transform below which starting workers costs more than they save."""


def _sides(shape, taps):
    """Sides of the transforms: room for a full convolution, so that nothing wraps around."""
    return [next_fast_len(n + k - 1, real=True) for n, k in zip(shape, taps)]


def _workspace(signal, targets, *, taps, **_):
    """Two spectra alive and a third in the inverse transform, its result, and residuals."""
    sides = _sides(signal.shape, taps)
    spectrum = 2 * prod(sides[:-1]) * (sides[-1] // 2 + 1)
    return (3 * spectrum + prod(sides) + targets.size + 5 * prod(taps)) * signal.itemsize


@kernel("fit_filter", family="fft", algorithm="fft", workspace=_workspace)
def fft(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """Convolution and correlation as products of `scipy.fft` spectra.

    Two transforms forward and two back a step, O(n log n) whatever the number of taps; the
    signal's own transform is made once. By as many workers as Numba has threads, which helps
    images: the transform of a single series is one job.
    """
    sides, axes = _sides(signal.shape, taps), range(signal.ndim)
    workers = numba.get_num_threads() if signal.size > _SMALLEST_SHARED else 1
    spectrum = rfftn(signal, sides, axes, workers=workers)

    def through(values, factor):
        product = rfftn(values, sides, axes, workers=workers)
        product *= factor
        return irfftn(product, sides, axes, overwrite_x=True, workers=workers)

    outputs = tuple(slice(n) for n in signal.shape)
    lags = tuple(slice(k) for k in taps)
    reverse = spectrum.conj()
    weights = weights.copy()
    for _ in range(iterations):
        residuals = through(weights, spectrum)[outputs] - targets
        gradient = through(residuals, reverse)[lags]
        weights -= step * (gradient + l2 * weights)
        if l1:
            weights = soft_threshold(weights, step * l1)
    return weights
