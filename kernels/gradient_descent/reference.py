"""Gradient descent by its definition, in whatever precision the arrays have.

The same loop serves both fits: what differs is the linear model, given as a pair of functions.
SciPy is imported where it is needed, so that a process that runs one kernel does not wait for it.
"""

import numpy as np

_LARGEST_DIRECT_WORK = 3e7
"""Multiply-adds above which a pass over a signal is left to an FFT, in longdouble if asked for."""


def descend(predict, correlate, targets, weights, *, iterations, step, l2, l1):
    """Minimise ``1/2 sum((predict(w) - y)^2) + l2/2 |w|^2 + l1 |w|_1``.

    Parameters
    ----------
    predict : callable
        The linear model: weights to predictions, ``w -> A w``.
    correlate : callable
        Its transpose: residuals to the gradient of the squares, ``r -> A^T r``.
    targets, weights : ndarray
        Right-hand side, and the weights to start from.

    Returns
    -------
    ndarray
        The weights after ``iterations`` steps of ``step``, each followed by the proximal step of
        ``l1``: soft thresholding (Daubechies, Defrise and De Mol, 2004).
    """
    for _ in range(iterations):
        weights = weights - step * (correlate(predict(weights) - targets) + l2 * weights)
        weights = soft_threshold(weights, step * l1)
    return weights


def soft_threshold(values, threshold):
    """Move values towards zero by ``threshold``, and no further than zero."""
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


def linear_model(features):
    """``(predict, correlate)`` of ``fit_linear``."""
    return (lambda weights: features @ weights), (lambda residuals: features.T @ residuals)


def filter_model(signal, taps):
    """``(predict, correlate)`` of ``fit_filter``: the first ``len(x)`` outputs of ``x * w``."""
    crop = tuple(slice(n) for n in signal.shape)
    if signal.size * np.prod(taps) > _LARGEST_DIRECT_WORK:
        from scipy.signal import fftconvolve

        flipped = np.flip(signal)
        # Element n - 1 + t of r * flip(x) is sum_s r(s) x(s - t), the gradient of tap t.
        lags = tuple(slice(n - 1, n - 1 + k) for n, k in zip(signal.shape, taps))
        return (
            lambda weights: fftconvolve(signal, weights)[crop],
            lambda residuals: fftconvolve(residuals, flipped)[lags],
        )

    def shifted(tap):
        later = tuple(slice(t, None) for t in tap)
        earlier = tuple(slice(n - t) for t, n in zip(tap, signal.shape))
        return later, earlier

    def predict(weights):
        total = np.zeros_like(signal)
        for tap in np.ndindex(*taps):
            later, earlier = shifted(tap)
            total[later] += weights[tap] * signal[earlier]
        return total

    def correlate(residuals):
        gradient = np.empty(taps, signal.dtype)
        for tap in np.ndindex(*taps):
            later, earlier = shifted(tap)
            gradient[tap] = (residuals[later] * signal[earlier]).sum()
        return gradient

    return predict, correlate


def largest_curvature(predict, correlate, shape):
    """Largest eigenvalue of ``A^T A``, by Lanczos (1950) in ARPACK.

    Parameters
    ----------
    predict, correlate : callable
        The linear model, in float64.
    shape : tuple of int
        Shape of the weights of one output.

    Returns
    -------
    float
        To a relative 1e-3, from a fixed start: the same on every call.
    """
    size = int(np.prod(shape))
    if size == 1:
        return float(np.square(predict(np.ones(shape))).sum())

    def curvature(vector):
        return correlate(predict(vector.reshape(shape))).ravel()

    if size < 20:  # ARPACK needs room; a few columns are as quickly written out.
        columns = np.stack([curvature(unit) for unit in np.eye(size)])
        return float(np.linalg.eigvalsh((columns + columns.T) / 2)[-1])
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=curvature, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    if not curvature(start).any():
        return 0.0
    return float(eigsh(operator, k=1, v0=start, ncv=10, tol=1e-3, return_eigenvectors=False)[0])


def fast_filter_model(signal, taps):
    """`filter_model` in float64 with the signal's transform kept, for repeated use."""
    from scipy.fft import next_fast_len

    sides = [next_fast_len(n + k - 1, real=True) for n, k in zip(signal.shape, taps)]
    axes = tuple(range(signal.ndim))
    spectrum = np.fft.rfftn(signal, sides, axes)
    crop = tuple(slice(n) for n in signal.shape)
    lags = tuple(slice(k) for k in taps)

    def through(values, filter_spectrum):
        return np.fft.irfftn(np.fft.rfftn(values, sides, axes) * filter_spectrum, sides, axes)

    return (
        lambda weights: through(weights, spectrum)[crop],
        lambda residuals: through(residuals, spectrum.conj())[lags],
    )
