"""`conv2d` on a CUDA device: one output a thread, or tiles of a matrix product."""

from math import prod
from typing import NamedTuple

import numpy as np

from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.cuda import ARRAYS, cuda, device_kernel, resident_blocks, scratch
from convgrad.kernels.registry import kernel

_THREADS = 128
_SIDE = 16
"""Threads along each side of a block that computes a tile."""


class _Tile(NamedTuple):
    """Outputs of a block, and how many weights of a filter it takes at a time."""

    filters: int
    pixels: int
    depth: int
    registers: int
    """Of a thread, at most: two or three blocks are to run on a multiprocessor."""


_TILES = _Tile(128, 128, 8, 128), _Tile(64, 128, 8, 128), _Tile(64, 64, 16, 80)
"""The more outputs a thread has, the more often it uses what it reads from shared memory."""
_ROUNDS = 1
"""A tile is too large if all blocks together are fewer than so many for each multiprocessor."""


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


@device_kernel("T[:, :, :, ::1], T[:, :, ::1]")
def _pack(filters, packed):
    """Lay the weights of a group out as rows: all filters' weights of one tap and channel.

    ``packed[group, tap * channels + channel, filter]``.
    """
    groups, depth, count = packed.shape
    _, channels, height, width = filters.shape
    index = cuda.grid(1)
    if index < packed.size:
        output, row, group = index % count, index // count % depth, index // (count * depth)
        tap, channel = row // channels, row % channels
        weight = filters[group * count + output, channel, tap // width, tap % width]
        packed[group, row, output] = weight


_PRODUCT = (
    "T[::1], int64, int64, T[:, :, ::1], int64, int64, int64, int64, int64, int64, T[:, :, :, ::1]"
)


def _make(tile):
    """Compile the product for one size of tile; its loops over registers are unrolled."""
    tile_filters, tile_pixels, tile_depth, registers = tile
    down, across = tile_filters // _SIDE, tile_pixels // _SIDE
    weights_each = tile_filters * tile_depth // _SIDE**2
    pixels_each = tile_pixels * tile_depth // _SIDE**2
    both_weights, both_pixels = 2 * tile_filters * tile_depth, 2 * tile_pixels * tile_depth

    @device_kernel(_PRODUCT, max_registers=registers)
    def product(
        images,
        height,
        width,
        packed,
        channels,
        width_of_filter,
        stride,
        top,
        left,
        dilation,
        result,
    ):
        """A tile of filters times pixels by one block, gathered as im2col would on the way.

        A few rows of weights, and of the pixels that they meet, are in shared memory, while the
        next ones are on their way to registers.
        """
        weights = cuda.shared.array(both_weights, dtype=images.dtype)
        pixels = cuda.shared.array(both_pixels, dtype=images.dtype)
        sums = cuda.local.array((down, across), dtype=images.dtype)
        left_factors = cuda.local.array(down, dtype=images.dtype)
        right_factors = cuda.local.array(across, dtype=images.dtype)
        next_weights = cuda.local.array(weights_each, dtype=images.dtype)
        next_pixels = cuda.local.array(pixels_each, dtype=images.dtype)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        thread = y * _SIDE + x
        batch, count, rows, columns = result.shape
        groups, depth, per_group = packed.shape
        outputs = batch * rows * columns
        # Blocks are numbered along one axis: the others of a grid end at 65535.
        pixel_tiles = (outputs + tile_pixels - 1) // tile_pixels
        filter_tiles = (per_group + tile_filters - 1) // tile_filters
        first_output = cuda.blockIdx.x % pixel_tiles * tile_pixels
        first_filter = cuda.blockIdx.x // pixel_tiles % filter_tiles * tile_filters
        group = cuda.blockIdx.x // (pixel_tiles * filter_tiles)
        for i in range(down):
            for j in range(across):
                sums[i, j] = 0

        # What this thread loads: of one filter, and of one output, some rows of each tile.
        loaded_filter = first_filter + thread % tile_filters
        weight_row = thread // tile_filters * weights_each
        index = first_output + thread % tile_pixels
        pixel_row = thread // tile_pixels * pixels_each
        first_channel = (index // (rows * columns) * groups + group) * channels
        above = index // columns % rows * stride - top
        before = index % columns * stride - left
        # Whether all pixels that a thread loads at a time belong to one tap.
        together = channels % pixels_each == 0
        plane = height * width
        # Row of the tile's first pixel as tap and channel, stepped along rather than divided.
        channel = pixel_row % channels
        tap_row = pixel_row // channels // width_of_filter
        tap_column = pixel_row // channels % width_of_filter

        for start in range(0, depth + tile_depth, tile_depth):
            # Registers take the tile at `start`; shared memory has the one before.
            if start < depth:
                for m in range(weights_each):
                    weight = images.dtype.type(0)
                    row = start + weight_row + m
                    if row < depth and loaded_filter < per_group:
                        weight = packed[group, np.uint64(row), np.uint64(loaded_filter)]
                    next_weights[m] = weight
                i, j, c = tap_row, tap_column, channel
                for m in range(pixels_each):
                    if m == 0 or not together:
                        y_of_tap, x_of_tap = above + i * dilation, before + j * dilation
                        inside = 0 <= y_of_tap < height and 0 <= x_of_tap < width
                        at = ((first_channel + c) * height + y_of_tap) * width + x_of_tap
                    pixel = images.dtype.type(0)
                    if inside and index < outputs and start + pixel_row + m < depth:
                        pixel = images[np.uint64(at)]
                    next_pixels[m] = pixel
                    at += plane
                    c += 1
                    if not together and c == channels:
                        c = 0
                        j += 1
                        if j == width_of_filter:
                            j = 0
                            i += 1
                channel += tile_depth
                while channel >= channels:
                    channel -= channels
                    tap_column += 1
                    if tap_column == width_of_filter:
                        tap_column = 0
                        tap_row += 1
            buffer = start // tile_depth % 2
            if start > 0:
                for k in range((1 - buffer) * tile_depth, (2 - buffer) * tile_depth):
                    for i in range(down):
                        left_factors[i] = weights[np.uint64(k * tile_filters + y + i * _SIDE)]
                    for j in range(across):
                        right_factors[j] = pixels[np.uint64(k * tile_pixels + x + j * _SIDE)]
                    for i in range(down):
                        for j in range(across):
                            sums[i, j] += left_factors[i] * right_factors[j]
            if start < depth:
                for m in range(weights_each):
                    row = buffer * tile_depth + weight_row + m
                    weights[np.uint64(row * tile_filters + thread % tile_filters)] = next_weights[m]
                for m in range(pixels_each):
                    row = buffer * tile_depth + pixel_row + m
                    pixels[np.uint64(row * tile_pixels + thread % tile_pixels)] = next_pixels[m]
            cuda.syncthreads()

        for j in range(across):
            index = first_output + x + j * _SIDE
            image, row, column = index // (rows * columns), index // columns % rows, index % columns
            for i in range(down):
                output = first_filter + y + i * _SIDE
                if output < per_group and index < outputs:
                    result[image, group * per_group + output, row, column] = sums[i, j]

    return product


_PRODUCTS = {tile: _make(tile) for tile in _TILES}


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """Everything once more, on the device."""
    sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    outputs = len(images) * len(filters) * prod(sides)
    return images.nbytes + filters.nbytes + outputs * images.itemsize


def _tiled_workspace(images, filters, **options):
    """`_workspace`, and the packed filters."""
    return _workspace(images, filters, **options) + filters.nbytes


@kernel("conv2d", family="cuda", device="cuda", arrays=ARRAYS, workspace=_workspace)
def cuda_direct(images, filters, *, stride, padding, dilation, groups, out):
    """One thread an output, all pixels and weights from the cache.

    As many flops as the definition, two loads each: bound by the cache. For depthwise layers and
    filters of few channels.
    """
    (top, _), (left, _) = padding
    blocks = -(-out.size // _THREADS)
    _direct[blocks, _THREADS](images, filters, stride, top, left, dilation, out)
    return out


@kernel("conv2d", family="cuda", device="cuda", arrays=ARRAYS, workspace=_tiled_workspace)
def cuda_tiled(images, filters, *, stride, padding, dilation, groups, out):
    """Implicit im2col: a tiled matrix product whose columns exist in shared memory only.

    As many flops as the definition, rounded up to tiles, the largest with which no multiprocessor
    is left without work: 128 x 128 outputs, 64 a thread, where every element that is read from
    shared memory serves eight products. For tens of channels and more.
    """
    (top, _), (left, _) = padding
    per_group, outputs = len(filters) // groups, out.size // len(filters)
    depth = prod(filters.shape[1:])

    def blocks(tile):
        return -(-outputs // tile.pixels) * -(-per_group // tile.filters) * groups

    enough = resident_blocks(_ROUNDS)
    # Sums of float64 take two registers each: too many for the largest tile.
    tiles = _TILES[images.dtype.itemsize // 8 :]
    fitting = [t for t in tiles if blocks(t) >= enough and per_group > t.filters // 2]
    tile = (fitting or _TILES[-1:])[0]
    packed = scratch("filters", (groups, depth, per_group), filters.dtype)
    _pack[-(-packed.size // _THREADS), _THREADS](filters, packed)
    _PRODUCTS[tile][blocks(tile), (_SIDE, _SIDE)](
        *(images.reshape(images.size), *images.shape[2:], packed, filters.shape[1]),
        *(filters.shape[3], stride, top, left, dilation, out),
    )
    return out
