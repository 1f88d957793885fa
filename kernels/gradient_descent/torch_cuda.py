"""Linear fit with PyTorch on a CUDA device: the two products of cuBLAS."""

from convgrad.kernels.gradient_descent.linear_torch import descend
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
    return descend(features, targets, weights.clone(), iterations, step, l2, l1)
