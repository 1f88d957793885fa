"""`conv2d` by Winograd's minimal filtering: tiles as 16 or 36 products of matrices, in L2."""

import math
from functools import partial

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.convolution.conv2d_blocked import unpack_row
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.convolution.winograd import (
    after_2,
    after_4,
    along_both,
    before_2,
    before_4,
    filter_2,
    filter_4,
)
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_TAPS = 3
_VECTORS = 2
"""Vectors of filters that a block of tiles meets together."""
_ROWS = 12 if vector.register_bytes() == 64 else 6
_MOST, _MORE, _SOME = ((0,) * (_ROWS * part // 3) for part in (3, 2, 1))
"""Tiles whose sums stay in registers: 24 of 32 with two vectors of filters, or 12 of 16."""
_SEEN_BYTES = 1 << 19
"""Transformed samples of a job, half of an L2 of 1 MB, as far as that leaves"""
_FEWEST_TILES, _MOST_TILES = 16, 28
"""so many tiles: each transformed tap that is read serves all of them; more spill out of L1."""
_SMALLEST_PART = 1 << 18
"""Products of a job, about 10 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _pack(image, top, left, rows, columns, pitch, packed):
    """Copy a box of an image, zeros around it, with channels last: ``pitch`` of them, or zeros.

    A square of channels and pixels at a time is turned round; what is stored beyond the end of
    a row is zeros, which the next one overwrites.
    """
    lanes = vector.width(image)
    channels, height, across = image.shape
    flat, plane = image.reshape(-1), height * across
    begin, end = max(-left, 0), min(across - left, columns)
    for row in range(rows):
        y, here = top + row, row * columns * pitch
        if y < 0 or y >= height or end <= begin:
            packed[here : here + columns * pitch] = 0
            continue
        packed[here : here + begin * pitch] = 0
        packed[here + end * pitch : here + columns * pitch] = 0
        for first in range(0, channels, lanes):
            seen = (first * height + y) * across + left
            if first + lanes > channels:
                for x in range(begin, end):
                    for lane in range(lanes):
                        inside = first + lane < channels
                        value = flat[seen + lane * plane + x] if inside else 0
                        packed[here + x * pitch + first + lane] = value
                continue
            for x in range(begin, end, lanes):
                if x + lanes <= end:
                    square = vector.load_tile(flat, seen + x, plane, lanes, lanes)
                else:
                    square = vector.load_rows(flat, seen + x, plane, lanes, lanes, 1, end - x)
                to = here + x * pitch + first
                vector.store_tile(packed, to, pitch, vector.transpose(square))


@njit(cache=True)
def _unpack(made, columns, first, square, result, top):
    """Write rows of outputs, a vector of filters in each, to the planes from ``first`` on."""
    lanes = vector.width(made)
    filters, height, across = result.shape
    flat, size = result.reshape(-1), height * across
    plane = min(lanes, filters - first), size
    for row in range(min(made.size // (columns * lanes), height - top)):
        at, place = row * columns * lanes, first * size + (top + row) * across
        unpack_row(made, at, lanes, across, plane, square, flat, place, 1)


@njit(cache=True)
def _multiply(seen, at, pitch, weights, first, sums, to, tile):
    """Set the sums of some tiles over all of their channels; ``tile`` is as long."""
    lanes = vector.width(seen)
    total, block = vector.zero_tile(seen, lanes, len(tile)), _VECTORS * lanes
    for channel in range(0, pitch, lanes):
        here, met = at + channel * (len(tile) // _VECTORS), first + channel * block
        half = here + len(tile) // _VECTORS // 2 * lanes
        total = vector.add_panel(
            total, seen, here, half, lanes, 1, weights, met, block, lanes, lanes, _VECTORS
        )
    vector.store_tile(sums, to, lanes, total)


@njit(cache=True)
def _multiply_all(seen, tiles, pitch, weights, first, sums):
    """One product of matrices: all tiles, an even number of them, with a block of filters."""
    block, done = _VECTORS * vector.width(seen), 0
    while done < tiles:
        own = seen, done * pitch, pitch, weights, first, sums, done * block
        if tiles - done >= len(_MOST):
            _multiply(*own, _MOST + _MOST)
            done += len(_MOST)
        elif tiles - done >= len(_MORE):
            _multiply(*own, _MORE + _MORE)
            done += len(_MORE)
        else:
            _multiply(*own, _SOME + _SOME)
            done += len(_SOME)


@njit(cache=True, inline="always")
def _set_block(turn, made, filters, block, weights):
    """Transform the taps of some vectors of filters.

    Weights are made of blocks of filters, of products, of channels, and of a block's filters.
    """
    lanes, size = vector.width(filters), made + _TAPS - 1
    count, channels = filters.shape[0], filters.shape[1]
    apart = weights.shape[2]
    flat, own = filters.reshape(-1), channels * _TAPS * _TAPS
    taps = np.empty((own + lanes) * lanes, filters.dtype)
    scratch = np.empty(size * size * lanes, filters.dtype)
    target = weights[block].reshape(-1)
    step = _VECTORS * lanes
    for part in range(_VECTORS):
        first = block * step + part * lanes
        for i in range(0, own, lanes):
            if first + lanes <= count and i + lanes <= own:
                square = vector.load_tile(flat, first * own + i, own, lanes, lanes)
                vector.store_tile(taps, i * lanes, lanes, vector.transpose(square))
                continue
            for j in range(i, min(i + lanes, own)):
                for lane in range(lanes):
                    inside = first + lane < count
                    taps[j * lanes + lane] = flat[(first + lane) * own + j] if inside else 0
        for channel in range(channels):
            here, to = channel * _TAPS * _TAPS * lanes, channel * step + part * lanes
            down, across = _TAPS * lanes, apart * step
            along_both(
                turn,
                _TAPS,
                size,
                taps,
                here,
                down,
                lanes,
                scratch,
                target,
                to,
                size * across,
                across,
            )


@njit(cache=True, parallel=True)
def _weights_2(filters, weights):
    for block in prange(len(weights)):
        _set_block(filter_2, 2, filters, np.int64(block), weights)


@njit(cache=True, parallel=True)
def _weights_4(filters, weights):
    for block in prange(len(weights)):
        _set_block(filter_4, 4, filters, np.int64(block), weights)


@njit(cache=True, inline="always")
def _do_jobs(before, after, made, images, weights, zeros, together, shares, jobs, result):
    """Do some jobs: rows of tiles, ``together`` of them, with a share of the filters."""
    lanes, size = vector.width(images), made + _TAPS - 1
    blocks, products, apart, block = weights.shape
    pitch = (images.shape[1] + lanes - 1) // lanes * lanes
    batch, filters, height, across = result.shape
    down, beside = (height + made - 1) // made, (across + made - 1) // made
    columns = beside * made + _TAPS - 1
    most = (together * beside + len(_SOME) - 1) // len(_SOME) * len(_SOME)
    packed = np.empty(((size * columns + lanes) * pitch), images.dtype)
    seen = np.zeros(products * most * pitch, images.dtype)
    sums = np.empty(products * most * block, images.dtype)
    outputs = np.empty((made * beside * made + lanes) * lanes, images.dtype)
    scratch = np.empty(max(size * size, lanes) * lanes, images.dtype)
    flat = weights.reshape(-1)
    for job in range(jobs[0], jobs[1]):
        share, first_row = job % shares, job // shares * together
        rows = min(together, batch * down - first_row)
        tiles = (rows * beside + len(_SOME) - 1) // len(_SOME) * len(_SOME)
        for row in range(rows):
            image, top = (first_row + row) // down, (first_row + row) % down * made
            _pack(images[image], top - zeros[0], -zeros[1], size, columns, pitch, packed)
            for tile in range(beside):
                at, plane = tile * made * pitch, tiles * pitch
                place = (row * beside + tile) % len(_MOST)
                group = row * beside + tile - place
                joint = min(tiles - group, len(_MOST))
                to = group * pitch + place * lanes
                for i in range(0, pitch, lanes):
                    along_both(
                        before,
                        size,
                        size,
                        packed,
                        at + i,
                        columns * pitch,
                        pitch,
                        scratch,
                        seen,
                        to + i * joint,
                        size * plane,
                        plane,
                    )
        for number in range(share * blocks // shares, (share + 1) * blocks // shares):
            for product in range(products):
                _multiply_all(
                    *(seen[product * tiles * pitch :], tiles, pitch, flat),
                    (number * products + product) * apart * block,
                    sums[product * tiles * block :],
                )
            for first in range(0, min(block, filters - number * block), lanes):
                for row in range(rows):
                    image, top = (first_row + row) // down, (first_row + row) % down * made
                    wide, plane = beside * made * lanes, tiles * block
                    for tile in range(beside):
                        along_both(
                            after,
                            size,
                            made,
                            sums,
                            (row * beside + tile) * block + first,
                            size * plane,
                            plane,
                            scratch,
                            outputs,
                            tile * made * lanes,
                            wide,
                            lanes,
                        )
                    _unpack(
                        *(outputs[: made * wide], beside * made),
                        *(number * block + first, scratch, result[image], top),
                    )


@njit(cache=True)
def _jobs_2(images, weights, zeros, together, shares, jobs, result):
    _do_jobs(before_2, after_2, 2, images, weights, zeros, together, shares, jobs, result)


@njit(cache=True)
def _jobs_4(images, weights, zeros, together, shares, jobs, result):
    _do_jobs(before_4, after_4, 4, images, weights, zeros, together, shares, jobs, result)


@njit(cache=True, parallel=True)
def _shared_2(images, weights, zeros, together, shares, jobs, parts, result):
    for part in prange(parts):
        own = part * jobs // parts, (part + 1) * jobs // parts
        _jobs_2(images, weights, zeros, together, shares, own, result)


@njit(cache=True, parallel=True)
def _shared_4(images, weights, zeros, together, shares, jobs, parts, result):
    for part in prange(parts):
        own = part * jobs // parts, (part + 1) * jobs // parts
        _jobs_4(images, weights, zeros, together, shares, own, result)


_COMPILED = {2: (_weights_2, _jobs_2, _shared_2), 4: (_weights_4, _jobs_4, _shared_4)}


def _whole(count, multiple):
    return -(-count // multiple) * multiple


def _weights_shape(made, filters, dtype):
    """(blocks of filters, products, channels, filters of a block), padded to whole vectors.

    One channel more lies between products, lest all of them fall into one set of the cache.
    """
    lanes = vector.lanes_of(dtype)
    blocks = -(-filters[0] // (_VECTORS * lanes))
    return blocks, (made + _TAPS - 1) ** 2, _whole(filters[1], lanes) + 1, _VECTORS * lanes


def _turn_filters(made, filters):
    """Transformed taps of all filters; channels that are not there have none."""
    shape = _weights_shape(made, filters.shape, filters.dtype)
    weights = (np.empty if shape[2] == filters.shape[1] + 1 else np.zeros)(shape, filters.dtype)
    _COMPILED[made][0](plain(filters), weights)
    return weights


def _plan(made, result_shape, weights_shape, itemsize, threads):
    """(rows of tiles that go together, shares of the filters, jobs, parts of these)."""
    batch, _, height, across = result_shape
    blocks, products, pitch, block = weights_shape
    pitch -= 1
    beside, rows = -(-across // made), batch * -(-height // made)
    tiles = max(_SEEN_BYTES // (products * pitch * itemsize), _FEWEST_TILES)
    work = rows * beside * products * pitch * block * blocks
    parts = min(threads, max(work // _SMALLEST_PART, 1))
    jobs = -(-rows * beside // min(tiles, _MOST_TILES))
    if rows * beside >= _whole(jobs, parts) * _FEWEST_TILES:
        jobs = _whole(jobs, parts)
    together = -(-rows // min(jobs, rows))
    jobs = -(-rows // together)
    shares = min(parts, blocks) if jobs < parts or jobs == parts + 1 else 1
    return together, shares, jobs * shares, min(parts, jobs * shares)


def _convolve(made, images, weights, zeros, out):
    """Correlate images with transformed filters; zeros are those above and to the left."""
    _, one, shared = _COMPILED[made]
    threads = numba.get_num_threads()
    together, shares, jobs, parts = _plan(made, out.shape, weights.shape, images.itemsize, threads)
    if parts == 1:
        one(plain(images), weights, zeros, together, shares, (0, jobs), out)
    else:
        shared(plain(images), weights, zeros, together, shares, jobs, parts, out)
    return out


def _serves(images, filters, *, stride, dilation, groups, **_):
    if filters.shape[2:] != (_TAPS, _TAPS):
        return "its filters are 3 x 3"
    return None if stride == dilation == groups == 1 else "its stride, dilation and groups are 1"


def _workspace(made, images, filters, *, padding, **_):
    """Transformed filters; for each thread transformed samples and sums of a job."""
    sides = output_sides(images.shape[2:], filters.shape[2:], 1, padding, 1)
    shape = _weights_shape(made, filters.shape, filters.dtype)
    outputs = len(images), len(filters), *sides
    together, _, _, parts = _plan(made, outputs, shape, filters.itemsize, numba.get_num_threads())
    blocks, products, pitch, block = shape
    columns = _whole(sides[1], made) + made
    tiles = _whole(together * -(-sides[1] // made), len(_SOME))
    job = products * tiles * (pitch + block) + (made + 2) * columns * (pitch + block)
    return (blocks * products * pitch * block + parts * job) * filters.itemsize


def _error(roundings, images, filters, **_):
    """Seen with normal and with positive samples: so many roundings for each root of a channel."""
    return roundings * math.sqrt(filters.shape[1]) * float(np.finfo(filters.dtype).eps)


def _run(made, images, filters, padding, out, weights=None):
    sides = output_sides(images.shape[2:], filters.shape[2:], 1, padding, 1)
    if out is None:
        out = np.empty((len(images), len(filters), *sides), images.dtype)
    if weights is None:
        weights = _turn_filters(made, filters)
    return _convolve(made, images, weights, (padding[0][0], padding[1][0]), out)


def _keep(made, filters, *, padding, **_):
    weights = _turn_filters(made, filters)
    return lambda images, out=None: _run(made, images, filters, padding, out, weights)


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
    to 4 x 4 outputs (Winograd, 1980; Lavin and Gray, 2016). What a job makes stays in L2, the
    sums of 12 tiles and two vectors of filters in registers. A quarter of the products, and
    for each output transforms of some 10 operations a channel and 7 a filter: the more of both, the
    less these count. Weights take 4 times the bytes of the filters; kept when prepared.

    Errors grow with the constants of the transforms and the root of the channels: in float32 some
    1e-5 of the largest output at 256 channels, against 2e-6 of the definition. For 3 x 3, stride
    1, from some 32 channels on.
    """
    return _run(4, images, filters, padding, out)


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
    return _run(2, images, filters, padding, out)


def _turned(filters):
    """Filters that take output gradients back to images: turned by half, channels exchanged."""
    return np.ascontiguousarray(filters.swapaxes(0, 1)[..., ::-1, ::-1])


def _margins(padding):
    """Zeros around output gradients, with which they give images without those of the layer."""
    return tuple(tuple(_TAPS - 1 - zeros for zeros in ends) for ends in padding)


def _serves_gradient(output_gradient, filters, *, padding, **options):
    if max(max(ends) for ends in padding) >= _TAPS:
        return "its padding is at most 2"
    return _serves(output_gradient, filters, **options)


def _gradient_error(roundings, output_gradient, filters, **_):
    return _error(roundings, output_gradient, filters.swapaxes(0, 1))


def _gradient_workspace(made, output_gradient, filters, *, padding, **_):
    turned = filters.swapaxes(0, 1)
    return _workspace(made, output_gradient, turned, padding=_margins(padding)) + filters.nbytes


def _keep_turned(made, filters, *, padding, **_):
    return _keep(made, _turned(filters), padding=_margins(padding))


def _run_back(made, output_gradient, filters, padding, out):
    return _run(made, output_gradient, _turned(filters), _margins(padding), out)


@kernel(
    "conv2d_input_gradient",
    family="winograd",
    name="winograd_4x4",
    algorithm="winograd-4",
    serves=_serves_gradient,
    error=partial(_gradient_error, 8),
    workspace=partial(_gradient_workspace, 4),
    prepare=partial(_keep_turned, 4),
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
    prepare=partial(_keep_turned, 2),
)
def input_gradient_2x2(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """``winograd_2x2`` of `conv2d` over output gradients, with filters turned by half."""
    return _run_back(2, output_gradient, filters, padding, out)
