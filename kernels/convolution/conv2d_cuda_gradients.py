"""Gradients of `conv2d` on a CUDA device, directly."""

from math import prod

from convgrad.kernels.cuda import ARRAYS, cuda, device_kernel
from convgrad.kernels.registry import kernel

_THREADS = 128
_LANES = 32
"""Threads that sum up one weight's gradient."""


@device_kernel("T[:, :, :, ::1], T[:, :, :, ::1], int64, int64, int64, int64, T[:, :, :, ::1]")
def _filter_gradient(images, gradient, stride, top, left, dilation, result):
    """One weight a block: its threads go through all outputs, and add up in shared memory."""
    partial = cuda.shared.array(_LANES, dtype=images.dtype)
    lane = cuda.threadIdx.x
    weight = cuda.blockIdx.x
    batch, channels, height, width = images.shape
    _, count, rows, columns = gradient.shape
    _, per_group, filter_height, filter_width = result.shape
    j, i = weight % filter_width, weight // filter_width % filter_height
    channel = weight // (filter_width * filter_height) % per_group
    output = weight // (filter_width * filter_height * per_group)
    source = output // (count * per_group // channels) * per_group + channel
    total = images.dtype.type(0)
    for index in range(lane, batch * rows * columns, _LANES):
        row, column = index // columns % rows, index % columns
        y = row * stride + i * dilation - top
        x = column * stride + j * dilation - left
        if 0 <= y < height and 0 <= x < width:
            image = index // (rows * columns)
            total += images[image, source, y, x] * gradient[image, output, row, column]
    partial[lane] = total
    cuda.syncthreads()
    if lane == 0:
        for other in range(1, _LANES):
            total += partial[other]
        result[output, channel, i, j] = total


@device_kernel("T[:, :, :, ::1], T[:, :, :, ::1], int64, int64, int64, int64, T[:, :, :, ::1]")
def _input_gradient(gradient, filters, stride, top, left, dilation, result):
    """One pixel a thread: it collects from every output that saw it."""
    index = cuda.blockIdx.x * _THREADS + cuda.threadIdx.x
    batch, channels, height, width = result.shape
    if index < batch * channels * height * width:
        x, y = index % width, index // width % height
        channel = index // (width * height) % channels
        image = index // (width * height * channels)
        _, _, rows, columns = gradient.shape
        count, per_group, filter_height, filter_width = filters.shape
        filters_per_group = count * per_group // channels
        first = channel // per_group * filters_per_group
        total = filters.dtype.type(0)
        for i in range(filter_height):
            above = y + top - i * dilation
            row = above // stride
            if above >= 0 and above % stride == 0 and row < rows:
                for j in range(filter_width):
                    before = x + left - j * dilation
                    column = before // stride
                    if before >= 0 and before % stride == 0 and column < columns:
                        for output in range(first, first + filters_per_group):
                            slope = gradient[image, output, row, column]
                            total += slope * filters[output, channel % per_group, i, j]
        result[image, channel, y, x] = total


def _filter_gradient_workspace(images, output_gradient, *, filter_size, groups, **_):
    """Everything once more, on the device."""
    weights = output_gradient.shape[1] * images.shape[1] // groups * prod(filter_size)
    return images.nbytes + output_gradient.nbytes + weights * images.itemsize


@kernel(
    "conv2d_filter_gradient",
    family="cuda",
    device="cuda",
    arrays=ARRAYS,
    name="cuda_direct",
    workspace=_filter_gradient_workspace,
)
def filter_gradient_direct(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups, out
):
    """One block of 32 threads a weight, which goes through all images and outputs.

    As many flops as the definition, two loads each: bound by the cache. No atomics, the same
    result on every run.
    """
    (top, _), (left, _) = padding
    _filter_gradient[out.size, _LANES](images, output_gradient, stride, top, left, dilation, out)
    return out


def _input_gradient_workspace(output_gradient, filters, *, image_size, groups, **_):
    """Everything once more, on the device."""
    pixels = len(output_gradient) * filters.shape[1] * groups * prod(image_size)
    return output_gradient.nbytes + filters.nbytes + pixels * filters.itemsize


@kernel(
    "conv2d_input_gradient",
    family="cuda",
    device="cuda",
    arrays=ARRAYS,
    name="cuda_direct",
    workspace=_input_gradient_workspace,
)
def input_gradient_direct(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out
):
    """One thread a pixel, all gradients and weights from the cache.

    As many flops as the definition, two loads each: bound by the cache. No atomics.
    """
    (top, _), (left, _) = padding
    blocks = -(-out.size // _THREADS)
    _input_gradient[blocks, _THREADS](output_gradient, filters, stride, top, left, dilation, out)
    return out
