"""Linear fit with PyTorch: the two matrix products, in place."""

from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


def _workspace(features, targets, *, weights, **_):
    """Residuals, gradient, and with l1 a second array of weights."""
    return targets.nbytes + 2 * weights.nbytes


def _shared(array):
    """Give torch the array itself where it can: it takes no negative strides, even of length 1."""
    import torch

    array = plain(array)
    return torch.from_numpy(array.copy() if min(array.strides) < 0 else array)


@kernel("fit_linear", family="peer", requires=("torch",), workspace=_workspace)
def torch(features, targets, *, iterations, step, l2, l1, weights):
    """PyTorch's two products without autograd: matrix and vector, or matrices.

    4 n d flops a step, X read twice. Subtracting the targets rides on the first product, and a
    step without l1 makes no temporary arrays.
    """
    import torch

    features, targets = map(_shared, (features, targets))
    start = torch.from_numpy(weights.copy())
    return descend(features, targets, start, iterations, step, l2, l1).numpy()


def descend(features, targets, weights, iterations, step, l2, l1):
    """Take steps from tensors on whatever device they are; returns the weights, changed."""
    import torch

    residuals, gradient = torch.empty_like(targets), torch.empty_like(weights)
    multiply, add_product = (
        (torch.mv, torch.addmv) if targets.ndim == 1 else (torch.mm, torch.addmm)
    )
    with torch.no_grad():
        for _ in range(iterations):
            add_product(targets, features, weights, beta=-1, out=residuals)
            multiply(features.T, residuals, out=gradient)
            weights.mul_(1 - step * l2).sub_(gradient, alpha=step)
            if l1:
                weights = torch.nn.functional.softshrink(weights, step * l1)
    return weights
