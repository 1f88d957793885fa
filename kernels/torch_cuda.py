"""PyTorch's tensors on a CUDA device, for the peers that take them."""

from functools import cache

import numpy as np

from convgrad.kernels.on_device import Arrays, contiguous


@cache
def _why_not():
    import torch

    if not torch.cuda.is_available():
        return "this torch reaches no CUDA device"
    # By default, convolutions round float32 to 10 bits.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return None


def _upload(array):
    import torch

    _why_not()
    return torch.from_numpy(contiguous(array)).cuda()


def _refill(there, array):
    import torch

    there.copy_(torch.from_numpy(array))


def _empty(shape, dtype):
    import torch

    return torch.empty(shape, dtype=getattr(torch, np.dtype(dtype).name), device="cuda")


def _wait():
    import torch

    torch.cuda.synchronize()


TENSORS = Arrays(
    why_not=_why_not,
    upload=_upload,
    refill=_refill,
    download=lambda there: there.contiguous().cpu().numpy(),
    empty=_empty,
    wait=_wait,
)
"""Float32 is multiplied as such: `torch.backends` are set to that when the first is made."""
