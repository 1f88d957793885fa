"""`conv2d` and its gradients with PyTorch, which hands them to oneDNN where that serves them."""

from functools import cache
from math import prod

import numpy as np

from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel

_SMALLEST_BLOCKED = 1 << 16
"""Bytes of filters from which oneDNN's blocks, prepared, save more than their call costs."""


def _tensor(array):
    """A tensor of the array's memory where PyTorch can take it as it is, else of a copy."""
    import torch

    usable = array.flags.behaved and min(array.strides) >= 0
    return torch.from_numpy(array if usable else array.copy())


def _pad(images, padding):
    """Images, and the zeros (a row, a column on either side) that PyTorch adds by itself.

    It pads both ends alike; anything else takes a padded copy.
    """
    import torch

    (top, bottom), (left, right) = padding
    if top == bottom and left == right:
        return images, (top, left)
    return torch.nn.functional.pad(images, (left, right, top, bottom)), (0, 0)


def _library_bytes(images_shape, filters_shape, outputs_shape, dtype, padding, dilation, groups):
    """Bytes that PyTorch is seen to allocate besides the result, for any of the three operations.

    oneDNN (float32) copies every array once, into a layout of its own. PyTorch's im2col (float64)
    makes the columns of a group for all images at once, if taps are dilated image by image; and
    pieces of the result for each group. Images that it cannot pad itself are copied before.
    """
    batch, channels, height, width = images_shape
    (top, bottom), (left, right) = padding
    pixels = batch * channels * (height + top + bottom) * (width + left + right)
    elements = 0 if top == bottom and left == right else pixels
    if dtype == np.float32:
        elements += prod(images_shape) + prod(filters_shape) + prod(outputs_shape)
    else:
        columns = prod(filters_shape[1:]) * prod(outputs_shape[2:])
        pointwise = prod(filters_shape[2:]) == 1
        elements += 0 if pointwise else columns * (batch if dilation == 1 else 1)
        elements += prod(outputs_shape) if groups > 1 else 0
    return elements * dtype.itemsize


def _workspace(images, filters, *, stride, padding, dilation, groups):
    sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    outputs = len(images), len(filters), *sides
    layer = images.shape, filters.shape, outputs
    return _library_bytes(*layer, images.dtype, padding, dilation, groups)


def _channels_last_workspace(images, filters, **options):
    """What `_workspace` counts, and the filters with channels last."""
    return _workspace(images, filters, **options) + filters.nbytes


def _filter_gradient_workspace(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups
):
    filters = output_gradient.shape[1], images.shape[1] // groups, *filter_size
    layer = images.shape, filters, output_gradient.shape
    return _library_bytes(*layer, images.dtype, padding, dilation, groups)


def _input_gradient_workspace(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups
):
    images = len(output_gradient), filters.shape[1] * groups, *image_size
    layer = images, filters.shape, output_gradient.shape
    return _library_bytes(*layer, filters.dtype, padding, dilation, groups)


@kernel("conv2d", family="peer", requires=("torch",), name="torch", workspace=_workspace)
def conv2d_torch(images, filters, *, stride, padding, dilation, groups):
    """``torch.nn.functional.conv2d`` on NCHW tensors that share the arrays' memory.

    float32 runs in oneDNN, which chooses its algorithm and layout; float64 is PyTorch's own
    im2col.
    """
    from torch.nn.functional import conv2d

    padded, zeros = _pad(_tensor(images).contiguous(), padding)
    result = conv2d(padded, _tensor(filters).contiguous(), None, stride, zeros, dilation, groups)
    return result.contiguous().numpy()


def _channels_first(tensor):
    return tensor.contiguous()


def _channels_last(tensor):
    import torch

    return tensor.contiguous(memory_format=torch.channels_last)


def _keep_channels_last(filters, *, stride, padding, dilation, groups):
    """Keep filters channels last, or in oneDNN's blocks where reordering them costs most.

    Which blocks these are depends on the images: for a guess at their size oneDNN may take six
    times as long. So they are made when images of a size come first.
    """
    import torch

    kept = _channels_last(_tensor(filters))
    blocked = (
        filters.nbytes >= _SMALLEST_BLOCKED
        and filters.dtype == np.float32
        and torch.backends.mkldnn.is_available()
    )
    steps, spread = [stride] * 2, [dilation] * 2

    @cache
    def in_blocks(zeros, size):
        return torch.ops.mkldnn._reorder_convolution_weight(
            kept, list(zeros), steps, spread, groups, list(size)
        )

    def call(images, out=None):
        padded, zeros = _pad(_tensor(images), padding)
        padded = _channels_last(padded)
        if blocked:
            weights = in_blocks(zeros, tuple(padded.shape))
            result = torch.ops.mkldnn._convolution_pointwise(
                padded, weights, None, list(zeros), steps, spread, groups, "none", [], ""
            )
        else:
            result = torch.nn.functional.conv2d(padded, kept, None, stride, zeros, dilation, groups)
        return result.contiguous().numpy()

    return call


@kernel(
    "conv2d",
    family="peer",
    requires=("torch",),
    workspace=_channels_last_workspace,
    prepare=_keep_channels_last,
)
def torch_channels_last(images, filters, *, stride, padding, dilation, groups):
    """``torch.nn.functional.conv2d`` on channels-last tensors, the layout oneDNN likes best.

    Images that lie in memory channels last, as an NHWC array transposed does, are taken as they
    are; others are converted, and the result is converted to NCHW, all inside the call. Prepared,
    large filters are kept in the blocks that oneDNN works with.
    """
    from torch.nn.functional import conv2d

    padded, zeros = _pad(_tensor(images), padding)
    padded, weights = map(_channels_last, (padded, _tensor(filters)))
    result = conv2d(padded, weights, None, stride, zeros, dilation, groups)
    return result.contiguous().numpy()


def _filter_gradient(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups, layout
):
    from torch.nn.grad import conv2d_weight

    padded, zeros = _pad(_tensor(images), padding)
    padded, gradient = map(layout, (padded, _tensor(output_gradient)))
    shape = gradient.shape[1], padded.shape[1] // groups, *filter_size
    result = conv2d_weight(padded, shape, gradient, stride, zeros, dilation, groups)
    return result.contiguous().numpy()


@kernel(
    "conv2d_filter_gradient",
    family="peer",
    requires=("torch",),
    name="torch",
    workspace=_filter_gradient_workspace,
)
def filter_gradient_torch(images, output_gradient, **options):
    """``torch.nn.grad.conv2d_weight``, the backward pass of a layer without the autograd tape."""
    return _filter_gradient(images, output_gradient, **options, layout=_channels_first)


@kernel(
    "conv2d_filter_gradient",
    family="peer",
    requires=("torch",),
    name="torch_channels_last",
    workspace=_filter_gradient_workspace,
)
def filter_gradient_torch_channels_last(images, output_gradient, **options):
    """``torch.nn.grad.conv2d_weight`` on channels-last tensors, converted inside the call."""
    return _filter_gradient(images, output_gradient, **options, layout=_channels_last)


def _input_gradient(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, layout
):
    from torch.nn.grad import conv2d_input

    (top, bottom), (left, right) = padding
    height, width = image_size
    symmetric = top == bottom and left == right
    zeros = (top, left) if symmetric else (0, 0)
    if not symmetric:
        height, width = height + top + bottom, width + left + right
    shape = len(output_gradient), filters.shape[1] * groups, height, width
    gradient, weights = (layout(_tensor(array)) for array in (output_gradient, filters))
    result = conv2d_input(shape, weights, gradient, stride, zeros, dilation, groups)
    if not symmetric:
        result = result[..., top : height - bottom, left : width - right]
    return result.contiguous().numpy()


@kernel(
    "conv2d_input_gradient",
    family="peer",
    requires=("torch",),
    name="torch",
    workspace=_input_gradient_workspace,
)
def input_gradient_torch(output_gradient, filters, **options):
    """``torch.nn.grad.conv2d_input``, the backward pass of a layer without the autograd tape."""
    return _input_gradient(output_gradient, filters, **options, layout=_channels_first)


@kernel(
    "conv2d_input_gradient",
    family="peer",
    requires=("torch",),
    name="torch_channels_last",
    workspace=_input_gradient_workspace,
)
def input_gradient_torch_channels_last(output_gradient, filters, **options):
    """``torch.nn.grad.conv2d_input`` on channels-last tensors, converted inside the call."""
    return _input_gradient(output_gradient, filters, **options, layout=_channels_last)
