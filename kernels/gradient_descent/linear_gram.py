"""Linear fit from the Gram matrix: another algorithm, whose steps never see the samples."""

from convgrad.kernels.gradient_descent.reference import soft_threshold
from convgrad.kernels.registry import kernel


def _workspace(features, targets, *, weights, **_):
    """``X^T X``, ``X^T y``, and on the weights' side: gradient, scaled gradient, new weights."""
    return (features.shape[1] ** 2 + 4 * weights.size) * features.itemsize


@kernel("fit_linear", family="gemm", algorithm="gram", workspace=_workspace)
def gram(features, targets, *, iterations, step, l2, l1, weights):
    """``X^T X`` and ``X^T y`` once, then steps ``w - step ((X^T X + l2) w - X^T y)``.

    2 n d^2 flops to begin with (half of them, by symmetry, in BLAS' syrk), and 2 d^2 a step
    whatever the number of samples: it pays where there are more samples than features and some
    tens of iterations. It is another algorithm than the definition's. Forming ``X^T X`` squares
    the condition number, so that directions whose singular value is below ``sqrt(u)`` times the
    largest are lost to rounding, and with few samples d^2 numbers outweigh n d.
    """
    curvature = features.T @ features
    curvature.ravel()[:: len(curvature) + 1] += l2
    pull = features.T @ targets
    weights = weights.copy()
    for _ in range(iterations):
        gradient = curvature @ weights
        gradient -= pull
        weights -= step * gradient
        if l1:
            weights = soft_threshold(weights, step * l1)
    return weights
