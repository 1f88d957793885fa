"""Filter gradient of `conv2d` with channels as lanes, over images with channels together."""

from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.convolution.conv2d_blocked_layout import block_count
from convgrad.kernels.convolution.conv2d_blocked_planes import laid_out_elements, lay_out
from convgrad.kernels.convolution.conv2d_numba_planes import (
    Layout,
    channel_length,
    forward_layout,
    tap_offsets,
)
from convgrad.kernels.registry import kernel

_FILTERS = 8 if vector.register_bytes() == 64 else 4
"""Filters whose sums with two vectors of channels stay in registers: 16 of 32, or 8 of 16."""
_RUN = 128
"""Outputs that are summed at a time: their gradients, and the pixels of two blocks, fit L1."""
_SMALLEST_PART = 1 << 18
"""Products, about 10 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _add_run(slopes, at, pixels, seen, pitch, length, sums, place, tile, vectors):
    """Add to the sums of a tap what a run of gradients and pixels contributes.

    ``tile`` and ``vectors`` are tuples, as long as there are sums, and vectors of channels.
    """
    lanes = vector.width(pixels)
    total = vector.load_tile(sums, place, lanes, lanes, len(tile))
    half = at + len(tile) // len(vectors) // 2
    total = vector.add_panel(
        total, slopes, at, half, 1, lanes, pixels, seen, lanes, pitch, length, len(vectors)
    )
    vector.store_tile(sums, place, lanes, total)


@njit(cache=True)
def _set_items(blocked, slopes, offsets, counts, runs, items, tile, result):
    """Do some items of work: the sums of a few filters with one block of channels or two.

    Parameters
    ----------
    blocked, slopes, offsets : ndarray
        Planes of images and of output gradients, with a vector of channels for a pixel; where in
        those of an image the taps' pixels lie for the first output.
    counts : (int, int, int)
        Images; pixels of a block in the planes of images, and in those of gradients.
    runs : (int, int, int)
        Runs of outputs of an image, outputs of a run, and from one to the next.
    items : (int, int)
        First item, and the one after the last.
    tile : tuple
        As long as there are filters whose sums stay in registers.
    result : ndarray, shape (filters, channels, taps)
    """
    lanes, rows, taps = vector.width(blocked), len(tile), len(offsets)
    images, length, outputs = counts
    filters, channels = result.shape[:2]
    own = (channels + lanes - 1) // lanes
    slope_blocks, pairs = (filters + lanes - 1) // lanes, (own + 1) // 2
    number, run, step = runs
    sums = np.empty(taps * rows * 2 * lanes, blocked.dtype)
    for item in range(items[0], items[1]):
        first, pair = item // pairs * rows, item % pairs
        vectors = min(own - 2 * pair, 2)
        size = rows * vectors * lanes
        for i in range(sums.size):
            sums[i] = 0
        for image in range(images):
            slope = (image * slope_blocks + first // lanes) * outputs * lanes + first % lanes
            pixel = (image * own + 2 * pair) * length
            for begin in range(0, number * step, step):
                at, count = slope + begin * lanes, min(run, outputs - begin)
                for tap in range(taps):
                    seen, place = (pixel + offsets[tap] + begin) * lanes, tap * size
                    run_of = slopes, at, blocked, seen, length * lanes, count, sums, place
                    if vectors == 2:
                        _add_run(*run_of, tile + tile, (0, 0))
                    else:
                        _add_run(*run_of, tile, (0,))
        for i in range(min(rows, filters - first)):
            if taps == 1:
                target = result[first + i, 2 * pair * lanes :, 0]
                for j in range(min(vectors * lanes, channels - 2 * pair * lanes)):
                    target[j] = sums[i * vectors * lanes + j]
                continue
            for j in range(min(vectors * lanes, channels - 2 * pair * lanes)):
                target = result[first + i, 2 * pair * lanes + j]
                for tap in range(taps):
                    target[tap] = sums[tap * size + i * vectors * lanes + j]


@njit(cache=True, parallel=True)
def _set_items_shared(blocked, slopes, offsets, counts, runs, items, parts, tile, result):
    for part in prange(parts):
        own = part * items // parts, (part + 1) * items // parts
        _set_items(blocked, slopes, offsets, counts, runs, own, tile, result)


def _layouts(image_size, filter_size, sides, stride, padding, dilation):
    """Axes of the outputs, layout of images, and one of output gradients with rows as far apart."""
    *axes, layout = forward_layout(image_size, filter_size, sides, stride, padding, dilation)
    outputs = (sides[0] - 1) * layout.pitch + sides[1]
    return axes, layout, Layout((0, 0), ((0,), (0,)), 1, layout.pitch, outputs)


def _serves(images, output_gradient, *, groups, **_):
    return None if groups == 1 else "its blocks are of all channels: one group only"


def _workspace(images, output_gradient, *, filter_size, stride, padding, dilation, **_):
    """Planes of images and of output gradients; for each thread the sums of an item."""
    size, sides = images.shape[2:], output_gradient.shape[2:]
    _, *layouts = _layouts(size, filter_size, sides, stride, padding, dilation)
    planes = sum(map(laid_out_elements, (images, output_gradient), layouts))
    lanes = vector.lanes_of(images.dtype)
    sums = numba.get_num_threads() * prod(filter_size) * 2 * lanes * min(_FILTERS, lanes)
    return (planes + sums) * images.itemsize


@kernel("conv2d_filter_gradient", family="numba", serves=_serves, workspace=_workspace)
def numba_blocked(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups, out=None
):
    """Direct sums over pixels, 8 filters x 2 vectors of channels in registers.

    Images and output gradients are copied so that a vector of their channels lies together (the
    blocked layout of Georganas et al., 2018): a pixel takes 2 loads and 8 broadcasts for 16
    multiply-adds, and no sum crosses lanes. Runs of 128 outputs, across rows with zeros between,
    stay in L1 for all taps. As many flops as the definition, a few percent more for zeros. Sums
    run over images and pixels in order. Work is split over filters and channels: for layers of
    some ten of both.
    """
    count, channels = output_gradient.shape[1], images.shape[1]
    if out is None:
        out = np.empty((count, channels, *filter_size), images.dtype)
    size, sides = images.shape[2:], output_gradient.shape[2:]
    axes, layout, slopes = _layouts(size, filter_size, sides, stride, padding, dilation)
    length = channel_length(layout)
    offsets = tap_offsets(1, length, *axes, layout)
    counts = len(images), length, slopes.length
    tile = (0,) * min(_FILTERS, vector.lanes_of(images.dtype))
    items = -(-count // len(tile)) * -(-block_count(channels, images.dtype) // 2)
    work = out.size * len(images) * slopes.length
    parts = max(min(work // _SMALLEST_PART, numba.get_num_threads(), items), 1)
    arguments = lay_out(images, layout), lay_out(output_gradient, slopes), offsets, counts
    target = out.reshape(count, channels, -1)
    number = -(-slopes.length // _RUN)
    run = -(-slopes.length // number)

    def set_gradient(*runs):
        if parts == 1:
            _set_items(*arguments, runs, (0, items), tile, target)
        else:
            _set_items_shared(*arguments, runs, items, parts, tile, target)

    set_gradient(number, run, run)
    if not np.isfinite(out.min()) or not np.isfinite(out.max()):
        # Zeros between rows make NaN of an infinite pixel that they meet: go row by row instead.
        set_gradient(sides[0], sides[1], layout.pitch)
    return out
