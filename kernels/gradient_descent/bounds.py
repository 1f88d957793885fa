"""Error bounds of gradient descent: one step's rounding errors, and how steps pass them on.

One step maps w to ``T(w) = S(w - step (A^T (A w - y) + l2 w))`` with soft thresholding S. S moves
no two points apart, so that T is Lipschitz with ``q = max(|1 - step L|, |1 - step l2|)``, L the
largest eigenvalue of ``A^T A + l2``. If every computed step is off by at most d in the 2-norm, then
the error e_t after t steps obeys ``e_{t+1} <= q e_t + d`` with ``e_0 = 0``: the recurrence that
`accumulated` sums.
"""

import math

import numpy as np

from convgrad.kernels.operation import gamma, higher_precision

CONFIDENCE = 5
"""Lambda of Higham and Mary (2019): n roundings add up to ``lambda sqrt(n) u`` with a probability
of failure of ``2 exp(-lambda^2 / 2)``, 7e-6 a sum, if each rounding is as bad as can be."""


def accumulated(step_error, *, contraction, iterations):
    """Sum ``d (1 + q + ... + q^(T-1))``."""
    if contraction == 1:
        return step_error * iterations
    return step_error * (1 - contraction**iterations) / (1 - contraction)


def contraction(step, curvature, l2):
    """Lipschitz constant of one step; ``curvature`` is the largest eigenvalue of ``A^T A``."""
    return max(abs(1 - step * (curvature * (1 + 1e-3) + l2)), abs(1 - step * l2))


def direct_step(predict, correlate, targets, weights, *, terms, step, l2, dtype):
    """Bound the error of one step that sums in any order, weight by weight.

    In ``A^T (A w - y)`` every product passes through at most ``terms`` roundings, be the residual
    formed first or ``A^T A``: an error of at most ``gamma_terms |A|^T (|A| |w| + |y|)``, with the
    probabilistic constant, since the worst case of a million roundings says nothing. Four more
    roundings join the step.

    Parameters
    ----------
    predict, correlate : callable
        The model of absolute values.
    targets, weights : ndarray
        Absolute targets, and the largest absolute weights on the way.
    terms : int
        Longest chain of roundings: samples + parameters + 3.
    """
    magnitude = correlate(predict(weights) + targets)
    return step * (
        _likely_gamma(terms, dtype) * magnitude + gamma(3, dtype) * l2 * weights
    ) + gamma(4, dtype) * (weights + step * (magnitude + l2 * weights))


def fft_step(signal, residual, weights, *, transform_error, curvature, step, l2, dtype):
    """Bound the error of one step whose two passes go through the FFT.

    A convolution by FFT has the error ``eps |x|_2 |w|_2`` in the 2-norm, with ``eps`` the
    relative error of its three transforms, provided that rounding errors spread evenly over
    the frequencies (Gentleman and Sande, 1966). The first pass is amplified by the second,
    ``|A| = sqrt(curvature)``; the second adds ``eps |r|_2`` times the larger of that and |x|_2.
    The same holds where ``A^T A`` and ``A^T y`` are made of products that an FFT has summed: the
    spectrum ``|X|^2`` of the first is off by ``eps |x|_2 |X|``, and ``r`` here includes y.
    """
    x = float(np.linalg.norm(signal.ravel()))
    through = math.sqrt(curvature)
    w = float(np.linalg.norm(weights.ravel()))
    r = float(np.linalg.norm(residual.ravel())) + transform_error * x * w
    gradient = transform_error * (through * x * w + max(through, x) * r)
    update = float(np.linalg.norm(weights.ravel())) * (1 + step * l2) + step * through * r
    return step * gradient + gamma(6, dtype) * update


def _likely_gamma(terms, dtype):
    units = (float(np.finfo(d).eps) / 2 for d in (dtype, higher_precision(dtype)))
    likely = sum(math.expm1(CONFIDENCE * math.sqrt(terms) * u + terms * u**2) for u in units)
    return min(gamma(terms, dtype), likely)
