"""Linear fit with PyTorch on a CUDA device: the two products of cuBLAS."""

from convgrad.kernels.registry import kernel
from convgrad.kernels.torch_cuda import TENSORS


@kernel(
    "fit_linear",
    name="torch_cuda",
    family="peer",
    device="cuda",
    requires=("torch",),
    arrays=TENSORS,
)
def fit_linear_torch(features, targets, *, iterations, step, l2, l1, weights):
    """Two products a step on the device, without tf32: matrix and vector, or matrices.

    4 n d flops a step, X read twice.
    """
    import torch

    weights = weights.clone()
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
