"""`conv2d`, its gradients and `convolve` with PyTorch on a CUDA device: cuDNN."""

import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window, window_shape
from convgrad.kernels.registry import kernel
from convgrad.kernels.torch_cuda import TENSORS

_PEER = {"family": "peer", "device": "cuda", "requires": ("torch",), "arrays": TENSORS}


def _pad(images, padding):
    """Images, and the zeros that cuDNN adds by itself: as many at either end, or none."""
    from torch.nn.functional import pad

    (top, bottom), (left, right) = padding
    if top == bottom and left == right:
        return images, (top, left)
    return pad(images, (left, right, top, bottom)), (0, 0)


@kernel("conv2d", name="torch_cuda", **_PEER)
def conv2d_torch(images, filters, *, stride, padding, dilation, groups):
    """``torch.nn.functional.conv2d`` on the device, without tf32; cuDNN chooses the algorithm."""
    from torch.nn.functional import conv2d

    padded, zeros = _pad(images, padding)
    return conv2d(padded, filters, None, stride, zeros, dilation, groups)


@kernel("conv2d_filter_gradient", name="torch_cuda", **_PEER)
def filter_gradient_torch(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups
):
    """``torch.nn.grad.conv2d_weight`` on the device, without tf32."""
    from torch.nn.grad import conv2d_weight

    padded, zeros = _pad(images, padding)
    shape = output_gradient.shape[1], padded.shape[1] // groups, *filter_size
    return conv2d_weight(padded, shape, output_gradient, stride, zeros, dilation, groups)


@kernel("conv2d_input_gradient", name="torch_cuda", **_PEER)
def input_gradient_torch(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups
):
    """``torch.nn.grad.conv2d_input`` on the device, without tf32."""
    from torch.nn.grad import conv2d_input

    (top, bottom), (left, right) = padding
    height, width = image_size
    equal = top == bottom and left == right
    zeros = (top, left) if equal else (0, 0)
    if not equal:
        height, width = height + top + bottom, width + left + right
    shape = len(output_gradient), filters.shape[1] * groups, height, width
    result = conv2d_input(shape, filters, output_gradient, stride, zeros, dilation, groups)
    if not equal:
        result = result[..., top : height - bottom, left : width - right].contiguous()
    return result


@kernel("convolve", name="torch_cuda", **_PEER)
def convolve_torch(signal, taps, *, mode):
    """``torch.nn.functional.conv1d`` to ``conv3d`` with flipped taps: one image, one channel."""
    from torch.nn import functional

    window = convolve_window(signal.shape, taps.shape, mode)
    if mode == "full" and np.prod(taps.shape) > np.prod(signal.shape):
        signal, taps = taps, signal
    before = [k - 1 - part.start for part, k in zip(window, taps.shape)]
    after = [part.stop - n for part, n in zip(window, signal.shape)]
    image = signal[None, None]
    if before != after:
        # PyTorch counts axes from the last.
        zeros = [z for b, a in zip(before[::-1], after[::-1]) for z in (b, a)]
        image, before = functional.pad(image, zeros), [0] * signal.ndim
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[signal.ndim - 1]
    result = convolve(image, taps.flip(list(range(taps.ndim)))[None, None], padding=before)[0, 0]
    return result[tuple(map(slice, window_shape(window)))].contiguous()
