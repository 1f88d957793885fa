"""Tiles of a layer by minimal filtering: 16 or 36 products of matrices each, in L2."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from convgrad.kernels import vector
from convgrad.kernels.address import call
from convgrad.kernels.convolution.conv2d_blocked_outputs import unpack_row
from convgrad.kernels.convolution.winograd import after_2, after_4, along_both, before_2, before_4
from convgrad.kernels.convolution.winograd_filters import TAPS, VECTORS
from convgrad.kernels.convolution.winograd_products import SPARE


class Grid(NamedTuple):
    """Tiles of an image: whole ones, perhaps a row and a column of short ones behind them."""

    down: int
    short_down: int
    across: int
    short_across: int
    top: int
    """Rows of zeros above the image."""
    left: int


@register_jitable
def _pack(image, first, top, left, rows, columns, packed):
    """Copy a box of a vector of channels, zeros around it, with channels last.

    A square of channels and pixels at a time is turned round; what is stored beyond the end of
    a row is zeros, which the next one overwrites. Of too few channels, the last lanes are filled.
    """
    lanes = vector.width(image)
    channels, height, across = image.shape
    flat, plane = image.reshape(-1), height * across
    begin, end = max(-left, 0), min(across - left, columns)
    for row in range(rows):
        y, here = top + row, row * columns * lanes
        if y < 0 or y >= height or end <= begin:
            packed[here : here + columns * lanes] = 0
            continue
        packed[here : here + begin * lanes] = 0
        packed[here + end * lanes : here + columns * lanes] = 0
        seen = (first * height + y) * across + left
        if channels < lanes:
            for x in range(begin, end):
                for channel in range(channels):
                    place = here + (x + 1) * lanes - channels + channel
                    packed[place] = flat[seen + channel * plane + x]
            continue
        for x in range(begin, end, lanes):
            if x + lanes <= end:
                square = vector.load_tile(flat, seen + x, plane, lanes, lanes)
            else:
                square = vector.load_rows(flat, seen + x, plane, lanes, lanes, 1, end - x)
            vector.store_tile(packed, here + x * lanes, lanes, vector.transpose(square))


@register_jitable
def _short_rows(grid, first, end):
    """Rows of tiles that are short down, of those from ``first`` to ``end``."""
    height = grid.down + grid.short_down
    return (end // height - first // height) * grid.short_down


@register_jitable
def _place(grid, row, job):
    """Places in a job of the whole tiles of a row, and of its short one.

    Tiles of a kind lie together, so that all that meet a product are a range: first those that
    are short across, then whole ones, those that are short down, and those that are both.
    """
    low, before = _short_rows(grid, *job), _short_rows(grid, job[0], row)
    whole = job[1] - job[0] - low
    if row % (grid.down + grid.short_down) == grid.down:
        start = whole * (grid.across + grid.short_across)
        return start + before * grid.across, start + low * grid.across + before
    before = row - job[0] - before
    return whole * grid.short_across + before * grid.across, before


@register_jitable
def _meeting(grid, job, product, size):
    """First of the places of tiles that meet a product, and the one after the last."""
    low, beside = _short_rows(grid, *job), grid.across + grid.short_across
    first, end = 0, (job[1] - job[0]) * beside
    whole = end - low * beside
    i, j = product // size, product % size
    if 3 <= i <= 4:  # places that only a tile of four has
        end = whole
    if 3 <= j <= 4:
        first = (job[1] - job[0] - low) * grid.short_across
        end = max(end - low * grid.short_across, whole)
    return first, end


@njit(cache=True, inline="always")
def _see(before, made, images, grid, job, places, packed, scratch, seen):
    """Transform the samples of all tiles of a job, a vector of channels at a time.

    They are made of products, of vectors of channels, of places, and of channels.
    """
    lanes, size = vector.width(images), made + TAPS - 1
    channels, height, beside = images.shape[1], grid.down + grid.short_down, grid.across
    parts, wide = (channels + lanes - 1) // lanes, (beside + grid.short_across) * made + TAPS - 1
    plane = (parts * places + 1) * lanes
    steps, apart = (wide * lanes, lanes), (size * plane, plane)
    for row in range(job[0], job[1]):
        image, top = row // height, row % height * made
        low = row % height == grid.down
        start, last = _place(grid, row, job)
        for part in range(parts):
            first = max(min(part * lanes, channels - lanes), 0)
            _pack(images[image], first, top - grid.top, -grid.left, size, wide, packed)
            for tile in range(beside + grid.short_across):
                place = last if tile == beside else start + tile
                short, at = (low, tile == beside), tile * made * lanes
                to = (part * places + place) * lanes
                along_both(before, size, size, short, packed, at, steps, scratch, seen, to, apart)


@njit(cache=True, inline="always")
def _make(after, made, sums, layout, grid, job, first, outputs, scratch, result):
    """Transform the sums of a job to outputs of a vector of filters, ``first`` and following.

    Rows of an image lie one behind the other: what a tile makes beyond the end of one is
    overwritten by the next.
    """
    lanes, size = vector.width(sums), made + TAPS - 1
    part, vectors, places = layout
    filters, depth, across = result.shape[1:]
    height, flat = grid.down + grid.short_down, result.reshape(-1)
    step, plane = vectors * lanes, (places * vectors + 1) * lanes
    apart, steps = (size * plane, plane), (across * lanes, lanes)
    row = job[0]
    while row < job[1]:
        image, top, begin = row // height, row % height * made, row
        end = min(job[1], (image + 1) * height)
        for row in range(begin, end):
            start, last = _place(grid, row, job)
            for tile in range(grid.across + grid.short_across - 1, -1, -1):
                place = last if tile == grid.across else start + tile
                short = row % height == grid.down, tile == grid.across
                at, to = place * step + part * lanes, ((row - begin) * across + tile) * made * lanes
                along_both(after, size, made, short, sums, at, apart, scratch, outputs, to, steps)
        count = min((end - begin) * made, depth - top) * across
        to = (image * filters + first) * depth * across + top * across
        own = min(lanes, filters - first), depth * across
        unpack_row(outputs, 0, lanes, count, own, scratch, flat, to)
        row = end


def _share_with(made, before, after):
    """Make the function that does a share, for tiles of so many outputs along an axis."""

    @njit(cache=True)
    def do_share(images, filters, back, weights, share, result):
        """Compute some rows of tiles, ``most`` at a time at most, for some vectors of filters.

        Without ``weights`` each block of filters is transformed when its turn comes. Addresses
        are of what multiplies with one vector of filters, and with two, and of what transforms.
        """
        grid, most, addresses, rows, numbers = share
        lanes, size = vector.width(images), made + TAPS - 1
        channels, across = images.shape[1], result.shape[3]
        block, products, beside = VECTORS * lanes, size * size, grid.across + grid.short_across
        jobs = (rows[1] - rows[0] + most - 1) // most
        places = most * beside + SPARE
        parts, wide = (channels + lanes - 1) // lanes, beside * made + TAPS - 1
        plane, apart = (parts * places + 1) * lanes, (channels + 1) * block
        packed = np.empty((size * wide + made + lanes) * lanes, images.dtype)
        seen = np.empty(products * plane, images.dtype)
        sums = np.empty(products * (places * VECTORS + 1) * lanes, images.dtype)
        outputs = np.empty((most * made * across + made + lanes) * lanes, images.dtype)
        scratch = np.empty(max(size * size, lanes) * lanes, images.dtype)
        kept = len(weights) > 0
        met = weights if kept else np.empty((1, products, channels + 1, block), images.dtype)
        flat = met.reshape(-1)
        for number in range(jobs):
            done, count = rows[0], rows[1] - rows[0]
            job = done + number * count // jobs, done + (number + 1) * count // jobs
            _see(before, made, images, grid, job, places, packed, scratch, seen)
            own = numbers[0]
            while own < numbers[1]:
                vectors = min(VECTORS - own % VECTORS, numbers[1] - own)
                start = own % VECTORS * lanes
                if kept:
                    start += own // VECTORS * products * apart
                else:
                    items = own * channels, (own + vectors) * channels
                    task = filters, back, items, own // VECTORS, met
                    call((addresses[2, 0], addresses[2, 1]), task)
                address = addresses[vectors - 1, 0], addresses[vectors - 1, 1]
                for product in range(products):
                    first, end = _meeting(grid, job, product, size)
                    here, met_at = product * plane + first * lanes, start + product * apart
                    to = product * (places * vectors + 1) * lanes + first * vectors * lanes
                    tiles = seen, here, places, end - first, channels
                    call(address, (*tiles, flat, met_at, sums, to))
                for part in range(vectors):
                    layout, least = (part, vectors, places), (own + part) * lanes
                    _make(after, made, sums, layout, grid, job, least, outputs, scratch, result)
                own += vectors

    return do_share


SHARES = {2: _share_with(2, before_2, after_2), 4: _share_with(4, before_4, after_4)}


@njit(cache=True, parallel=True)
def shared(do_share, images, filters, back, weights, grid, most, addresses, counts, shares, result):
    """Share so many rows and vectors of filters out in so many parts of both."""
    for part in prange(shares[0] * shares[1]):
        i, j = np.int64(part) // shares[1], np.int64(part) % shares[1]
        rows = i * counts[0] // shares[0], (i + 1) * counts[0] // shares[0]
        numbers = j * counts[1] // shares[1], (j + 1) * counts[1] // shares[1]
        share = grid, most, addresses, rows, numbers
        call(do_share, (images, filters, back, weights, share, result))
