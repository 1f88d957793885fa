"""Filter fit with SciPy: the forward pass and the gradient as direct "valid" passes."""

from functools import partial
from math import prod

import numpy as np
from scipy.signal import convolve, convolve2d, correlate, correlate2d

from convgrad.kernels.gradient_descent.reference import soft_threshold
from convgrad.kernels.registry import kernel

# In two dimensions SciPy's own 2-D functions are several times as fast as its N-D ones.
_PASSES = {
    1: (partial(convolve, method="direct"), partial(correlate, method="direct")),
    2: (convolve2d, correlate2d),
}


def _workspace(signal, targets, *, taps, **_):
    """Padded signal, predictions that become residuals, and five arrays of the filter's size."""
    padded = prod(n + k - 1 for n, k in zip(signal.shape, taps))
    return (padded + targets.size + 5 * prod(taps)) * signal.itemsize


@kernel("fit_filter", family="scipy", workspace=_workspace)
def scipy_correlate(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """`scipy.signal`'s convolve forward and its correlate back, both direct.

    With k - 1 zeros before the signal both passes are "valid" ones: n outputs forward, and back
    the k lags of the gradient instead of all 2 n - 1. 4 n k flops a step, on one thread.
    """
    forward, back = _PASSES[signal.ndim]
    padded = np.pad(signal, [(k - 1, 0) for k in taps])
    weights = weights.copy()
    for _ in range(iterations):
        residuals = forward(padded, weights, mode="valid")
        residuals -= targets
        # Lags come out from the latest to the earliest.
        gradient = np.flip(back(padded, residuals, mode="valid"))
        weights -= step * (gradient + l2 * weights)
        if l1:
            weights = soft_threshold(weights, step * l1)
    return weights
