"""Linear fit with NumPy: one matrix product forward, one back."""

from convgrad.kernels.gradient_descent.reference import soft_threshold
from convgrad.kernels.registry import kernel


def _workspace(features, targets, *, weights, **_):
    """Residuals, and on the weights' side: gradient, its penalty, old and new weights."""
    return (targets.size + 4 * weights.size) * features.itemsize


@kernel("fit_linear", family="scipy", workspace=_workspace)
def numpy(features, targets, *, iterations, step, l2, l1, weights):
    """NumPy's two products, ``X w`` and ``X^T r``, as one writes them down.

    4 n d flops a step. X is read twice a step, which costs up to twice the time of a single
    reading once X is larger than the cache.
    """
    weights = weights.copy()
    for _ in range(iterations):
        residuals = features @ weights
        residuals -= targets
        gradient = features.T @ residuals
        gradient += l2 * weights
        weights -= step * gradient
        if l1:
            weights = soft_threshold(weights, step * l1)
    return weights
