"""`conv2d` by Winograd's minimal filtering: tiles as 16 or 36 products of matrices, in L2."""

import math
from functools import lru_cache, partial

import numba
import numpy as np

from convgrad.kernels import vector
from convgrad.kernels.address import address_of
from convgrad.kernels.convolution.conv2d_numba_planes import PLANS
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.convolution.winograd_filters import (
    TAPS,
    VECTORS,
    address_with,
    transformed,
    weights_shape,
)
from convgrad.kernels.convolution.winograd_products import SPARE, addresses_of
from convgrad.kernels.convolution.winograd_tiles import SHARES, Grid, shared
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_SEEN_BYTES = 1 << 19
"""Transformed samples of a job, half of an L2 of 1 MB, as far as that leaves"""
_FEWEST_TILES, _MOST_TILES = 16, 28
"""so many tiles: each transformed tap that is read serves all of them; more spill out of L1."""
_SMALLEST_PART = 1 << 18
"""Products of a job, about 10 us of work: less is not worth waking a thread."""
_SAMPLES, _FILTERS = 1, 6
"""What transforming a tile's samples takes, in products with a vector of filters; and that vector,
in products with a tile."""
_FRESH_TILES = 64
"""Tiles of a part that leave its filters to be transformed block by block, which are never
written beyond L2 then: samples are read from L3 instead, by each block."""


def _along(made, outputs):
    """(whole tiles, short ones) along an axis: one or two outputs of four are a short one."""
    whole = (outputs + 1) // made
    return whole, int(outputs > whole * made)


def _grid(made, sides, zeros):
    (down, short_down), (across, short_across) = (_along(made, side) for side in sides)
    return Grid(down, short_down, across, short_across, *zeros)


def _plan(made, channels, out_shape, itemsize, threads, kept):
    """How a layer is shared.

    Returns
    -------
    kept : bool
        Whether all filters are transformed first.
    most : int
        Rows of tiles that go together.
    shares : (int, int)
        Parts of all rows and parts of all vectors of filters, one of both for each thread. Parts
        of the filters are even, but each of them has all samples to transform.
    """
    batch, filters, *sides = out_shape
    grid, lanes = _grid(made, sides, (0, 0)), vector.register_bytes() // itemsize
    numbers, products = -(-filters // lanes), (made + TAPS - 1) ** 2
    rows, beside = batch * (grid.down + grid.short_down), grid.across + grid.short_across
    work = rows * beside * products * channels * numbers * lanes
    threads = min(threads, max(work // _SMALLEST_PART, 1))

    def longest(own):
        tiles, vectors = -(-rows // (threads // own)) * beside, -(-numbers // own)
        fresh = not kept and tiles <= _FRESH_TILES
        return tiles * (vectors + _SAMPLES) + fresh * _FILTERS * vectors

    own = min(range(1, min(threads, numbers) + 1), key=longest)
    groups = min(threads // own, rows)
    part = -(-rows // groups)
    if not kept and part * beside <= _FRESH_TILES:
        return False, part, (groups, own)
    tiles = min(max(_SEEN_BYTES // (products * channels * itemsize), _FEWEST_TILES), _MOST_TILES)
    jobs = min(-(-part * beside // tiles), part)
    return True, -(-part // jobs), (groups, own)


@lru_cache(PLANS)
def _addresses(made, dtype, kept, numbers, parts):
    """Of the functions that a share calls: `addresses_of`, and of what transforms filters."""
    transform = (0, 0) if kept else address_with(made, dtype)
    return np.array([*addresses_of(dtype, numbers, parts), transform])


def _convolve(made, images, count, padding, out, filters=None, back=False, weights=None):
    """Correlate images with ``count`` filters, or with the transformed ones of a prepared call."""
    sides = output_sides(images.shape[2:], (TAPS, TAPS), 1, padding, 1)
    if out is None:
        out = np.empty((len(images), count, *sides), images.dtype)
    kept, most, shares = _plan(
        *(made, images.shape[1], out.shape, images.itemsize),
        *(numba.get_num_threads(), weights is not None),
    )
    none = np.empty((0,) * 4, images.dtype)
    if not kept:
        weights = none
    elif weights is None:
        weights = transformed(made, filters, back)
    grid = _grid(made, sides, (padding[0][0], padding[1][0]))
    counts = len(images) * (grid.down + grid.short_down), -(-count // vector.lanes_of(out.dtype))
    arrays = plain(images), none if kept else plain(filters), back, weights
    addresses = _addresses(made, out.dtype, kept, counts[1], shares[1])
    do_share, whole = SHARES[made], (grid, most, addresses, (0, counts[0]), (0, counts[1]))
    if shares == (1, 1):
        do_share(*arrays, whole, out)
    else:
        address = address_of(do_share, *arrays, whole, out)
        shared(address, *arrays, grid, most, addresses, counts, shares, out)
    return out


def _serves(images, filters, *, stride, dilation, groups, **_):
    if filters.shape[2:] != (TAPS, TAPS):
        return "its filters are 3 x 3"
    return None if stride == dilation == groups == 1 else "its stride, dilation and groups are 1"


def _bytes(made, images, filters, padding):
    """Transformed filters; for each thread transformed samples and sums of a job."""
    (batch, channels), dtype = images.shape[:2], images.dtype
    sides = output_sides(images.shape[2:], (TAPS, TAPS), 1, padding, 1)
    outputs, threads = (batch, filters, *sides), numba.get_num_threads()
    kept, most, shares = _plan(made, channels, outputs, dtype.itemsize, threads, False)
    blocks, *block = weights_shape(made, filters, channels, dtype)
    beside, lanes = -(-sides[1] // made), vector.lanes_of(dtype)
    places, parts = most * beside + SPARE, math.prod(shares)
    job = block[0] * places * (-(-channels // lanes) + VECTORS) + made * most * sides[1]
    job += (made + TAPS - 1) * (beside * made + TAPS - 1)
    return (math.prod(block) * (blocks if kept else parts) + parts * job * lanes) * dtype.itemsize


def _workspace(made, images, filters, *, padding, **_):
    return _bytes(made, images, len(filters), padding)


def _error(roundings, images, filters, **_):
    """Seen with normal and with positive samples: so many roundings for each root of a channel."""
    return roundings * math.sqrt(filters.shape[1]) * float(np.finfo(filters.dtype).eps)


def _keep(made, filters, *, padding, **_):
    count, weights = len(filters), transformed(made, filters, False)
    return lambda images, out=None: _convolve(made, images, count, padding, out, weights=weights)


@kernel(
    "conv2d",
    family="winograd",
    algorithm="winograd-4",
    serves=_serves,
    error=partial(_error, 8),
    workspace=partial(_workspace, 4),
    prepare=partial(_keep, 4),
)
def winograd_4x4(images, filters, *, stride, padding, dilation, groups, out=None):
    """F(4 x 4, 3 x 3): 36 products for 16 outputs, where the definition takes 144.

    A job takes some rows of tiles: turns their pixels round, so that channels are lanes, transforms
    tiles of 6 x 6, multiplies each of the 36 places with its matrix of taps, and transforms sums
    to 4 x 4 outputs (Winograd, 1980; Lavin and Gray, 2016). Where one or two rows or columns of
    outputs are left, tiles of two take 24 or 16 of the products. What a job makes stays in L2, the
    sums of 12 tiles and two vectors of filters in registers. A quarter of the products, and
    for each output transforms of some 10 operations a channel and 7 a filter: the more of both, the
    less these count. Weights take 4 times the bytes of the filters; kept when prepared, and of one
    block of filters at a time where tiles are few.

    Errors grow with the constants of the transforms and the root of the channels: in float32 some
    1e-5 of the largest output at 256 channels, against 2e-6 of the definition. For 3 x 3, stride
    1, from some 32 channels on.
    """
    return _convolve(4, images, len(filters), padding, out, filters)


@kernel(
    "conv2d",
    family="winograd",
    algorithm="winograd-2",
    serves=_serves,
    error=partial(_error, 1),
    workspace=partial(_workspace, 2),
    prepare=partial(_keep, 2),
)
def winograd_2x2(images, filters, *, stride, padding, dilation, groups, out=None):
    """F(2 x 2, 3 x 3): 16 products for 4 outputs, where the definition takes 36.

    As ``winograd_4x4``, with smaller tiles, transforms of additions alone, and errors near those
    of the definition. For sides of few pixels, and where precision counts.
    """
    return _convolve(2, images, len(filters), padding, out, filters)


def _margins(padding):
    """Zeros around output gradients, with which they give images without those of the layer."""
    return tuple(tuple(TAPS - 1 - zeros for zeros in ends) for ends in padding)


def _serves_gradient(output_gradient, filters, *, padding, **options):
    if max(max(ends) for ends in padding) >= TAPS:
        return "its padding is at most 2"
    return _serves(output_gradient, filters, **options)


def _gradient_error(roundings, output_gradient, filters, **_):
    return _error(roundings, output_gradient, filters.swapaxes(0, 1))


def _gradient_workspace(made, output_gradient, filters, *, padding, **_):
    return _bytes(made, output_gradient, filters.shape[1], _margins(padding))


def _keep_back(made, filters, *, padding, **_):
    count, weights, margins = filters.shape[1], transformed(made, filters, True), _margins(padding)
    return lambda gradient, out=None: _convolve(
        made, gradient, count, margins, out, weights=weights
    )


def _run_back(made, output_gradient, filters, padding, out):
    return _convolve(
        made, output_gradient, filters.shape[1], _margins(padding), out, filters, back=True
    )


@kernel(
    "conv2d_input_gradient",
    family="winograd",
    name="winograd_4x4",
    algorithm="winograd-4",
    serves=_serves_gradient,
    error=partial(_gradient_error, 8),
    workspace=partial(_gradient_workspace, 4),
    prepare=partial(_keep_back, 4),
)
def input_gradient_4x4(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """``winograd_4x4`` of `conv2d` over output gradients, with filters turned by half."""
    return _run_back(4, output_gradient, filters, padding, out)


@kernel(
    "conv2d_input_gradient",
    family="winograd",
    name="winograd_2x2",
    algorithm="winograd-2",
    serves=_serves_gradient,
    error=partial(_gradient_error, 1),
    workspace=partial(_gradient_workspace, 2),
    prepare=partial(_keep_back, 2),
)
def input_gradient_2x2(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """``winograd_2x2`` of `conv2d` over output gradients, with filters turned by half."""
    return _run_back(2, output_gradient, filters, padding, out)
