"""`dense` with PyTorch."""

from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


@kernel("dense", family="peer", requires=("torch",))
def torch(inputs, weights, *, out=None):
    """``torch.nn.functional.linear``, without autograd."""
    import torch

    inputs, weights = (
        torch.from_numpy(array.copy() if min(array.strides) < 0 else array)
        for array in map(plain, (inputs, weights))
    )
    if out is None:
        return torch.nn.functional.linear(inputs, weights).numpy()
    torch.mm(inputs, weights.T, out=torch.from_numpy(out))
    return out
