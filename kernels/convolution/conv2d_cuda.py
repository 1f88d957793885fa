"""`conv2d` on a CUDA device: one output a thread, or tiles of a matrix product."""

from math import prod

import numpy as np

from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.cuda import cuda, device_kernel
from convgrad.kernels.registry import kernel

_THREADS = 128
_SIDE = 16
"""Threads along each side of a block of `_tiled`, and weights of a filter that it loads at once."""
_PER_THREAD = 4
"""Filters, and pixels, whose outputs one thread of `_tiled` computes."""
_TILE = _SIDE * _PER_THREAD
_PITCH = _TILE + 1
"""Rows of shared memory begin in different banks: threads that write a column do not collide."""


@device_kernel("T[:, :, :, ::1], T[:, :, :, ::1], int64, int64, int64, int64, T[:, :, :, ::1]")
def _direct(images, filters, stride, top, left, dilation, result):
    """One output a thread; neighbours read neighbouring pixels and the same weight."""
    index = cuda.blockIdx.x * _THREADS + cuda.threadIdx.x
    batch, count, rows, columns = result.shape
    if index < batch * count * rows * columns:
        column, row = index % columns, index // columns % rows
        output, image = index // (columns * rows) % count, index // (columns * rows * count)
        _, channels, height, width = images.shape
        _, per_group, filter_height, filter_width = filters.shape
        first = output // (count * per_group // channels) * per_group
        total = images.dtype.type(0)
        for channel in range(per_group):
            for i in range(filter_height):
                y = row * stride + i * dilation - top
                if 0 <= y < height:
                    for j in range(filter_width):
                        x = column * stride + j * dilation - left
                        if 0 <= x < width:
                            pixel = images[image, first + channel, y, x]
                            total += pixel * filters[output, channel, i, j]
        result[image, output, row, column] = total


@device_kernel("T[:, :, :, ::1], T[:, :, :, ::1], int64, int64, int64, int64, T[:, :, :, ::1]")
def _tiled(images, filters, stride, top, left, dilation, result):
    """A tile of 64 filters times 64 outputs by one block, sixteen of them a thread.

    Sixteen weights of each filter, and the pixels that they meet, go through shared memory at a
    time, gathered on the way as im2col would: zeros where a tap sees no pixel.
    """
    weights = cuda.shared.array((_SIDE, _PITCH), dtype=images.dtype)
    pixels = cuda.shared.array((_SIDE, _PITCH), dtype=images.dtype)
    sums = cuda.local.array((_PER_THREAD, _PER_THREAD), dtype=images.dtype)
    across, down = cuda.threadIdx.x, cuda.threadIdx.y
    batch, count, rows, columns = result.shape
    _, channels, height, width = images.shape
    _, per_group, filter_height, filter_width = filters.shape
    filters_per_group = count * per_group // channels
    outputs, taps = batch * rows * columns, filter_height * filter_width
    # Blocks are numbered along one axis: the others of a grid end at 65535.
    output_tiles = (outputs + _TILE - 1) // _TILE
    filter_tiles = (filters_per_group + _TILE - 1) // _TILE
    first_output = cuda.blockIdx.x % output_tiles * _TILE
    first_filter = cuda.blockIdx.x // output_tiles % filter_tiles * _TILE
    group = cuda.blockIdx.x // (output_tiles * filter_tiles)
    for i in range(_PER_THREAD):
        for j in range(_PER_THREAD):
            sums[i, j] = 0

    # The output whose pixels this thread gathers.
    gathered = (down * _SIDE + across) % _TILE
    first_row = (down * _SIDE + across) // _TILE
    index = first_output + gathered
    image = index // (rows * columns)
    above = index // columns % rows * stride - top
    before = index % columns * stride - left

    for start in range(0, per_group * taps, _SIDE):
        for i in range(_PER_THREAD):
            weight, output = start + across, first_filter + down + i * _SIDE
            value = images.dtype.type(0)
            if weight < per_group * taps and output < filters_per_group:
                value = filters[
                    group * filters_per_group + output,
                    weight // taps,
                    weight // filter_width % filter_height,
                    weight % filter_width,
                ]
            weights[across, down + i * _SIDE] = value
        for i in range(_PER_THREAD):
            row = first_row + i * (_SIDE // _PER_THREAD)
            weight = start + row
            y = above + weight // filter_width % filter_height * dilation
            x = before + weight % filter_width * dilation
            value = images.dtype.type(0)
            exists = weight < per_group * taps and index < outputs
            if exists and 0 <= y < height and 0 <= x < width:
                value = images[image, group * per_group + weight // taps, y, x]
            pixels[row, gathered] = value
        cuda.syncthreads()
        for k in range(_SIDE):
            for i in range(_PER_THREAD):
                for j in range(_PER_THREAD):
                    product = weights[k, down + i * _SIDE] * pixels[k, across + j * _SIDE]
                    sums[i, j] += product
        cuda.syncthreads()

    for i in range(_PER_THREAD):
        output = first_filter + down + i * _SIDE
        for j in range(_PER_THREAD):
            index = first_output + across + j * _SIDE
            if output < filters_per_group and index < outputs:
                row, column = index // columns % rows, index % columns
                output_in_all = group * filters_per_group + output
                result[index // (rows * columns), output_in_all, row, column] = sums[i, j]


def _on_device(images, filters, stride, padding, dilation):
    """Upload the inputs and allocate the result."""
    sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    device_images, device_filters = (
        cuda.to_device(np.ascontiguousarray(array)) for array in (images, filters)
    )
    result = cuda.device_array((len(images), len(filters), *sides), images.dtype)
    return device_images, device_filters, result


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """Everything once more, on the device."""
    sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    outputs = len(images) * len(filters) * prod(sides)
    return images.nbytes + filters.nbytes + outputs * images.itemsize


@kernel("conv2d", family="cuda", device="cuda", workspace=_workspace)
def cuda_direct(images, filters, *, stride, padding, dilation, groups):
    """One thread an output, all pixels and weights from the cache.

    As many flops as the definition, two loads each: bound by the cache. For depthwise layers and
    filters of few channels.
    """
    *inputs, result = _on_device(images, filters, stride, padding, dilation)
    (top, _), (left, _) = padding
    blocks = -(-result.size // _THREADS)
    _direct[blocks, _THREADS](*inputs, stride, top, left, dilation, result)
    return result.copy_to_host()


@kernel("conv2d", family="cuda", device="cuda", workspace=_workspace)
def cuda_tiled(images, filters, *, stride, padding, dilation, groups):
    """Implicit im2col: a tiled matrix product whose columns exist in shared memory only.

    As many flops as the definition, rounded up to tiles of 64 filters and 64 outputs; every
    element of shared memory that is loaded serves four products. For tens of channels and more.
    """
    *inputs, result = _on_device(images, filters, stride, padding, dilation)
    (top, _), (left, _) = padding
    outputs = len(images) * prod(result.shape[2:])
    blocks = -(-outputs // _TILE) * -(-len(filters) // groups // _TILE) * groups
    _tiled[blocks, (_SIDE, _SIDE)](*inputs, stride, top, left, dilation, result)
    return result.copy_to_host()
