"""Images laid out so that a vector of channels lies together: the layout of ``conv2d_blocked``."""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.validation import plain

SMALLEST_COPY = 1 << 15
"""Elements, a few microseconds of copying: less is not worth waking a thread."""


class Pixels(NamedTuple):
    """Images as a run of memory in which channels lie side by side, a vector of them at least."""

    flat: np.ndarray
    groups: np.ndarray
    """Where the first pixel of each vector of channels lies."""
    pitches: tuple
    """Elements from one image to the next, from row to row, and from pixel to pixel."""


def block_count(count, dtype, vectors=1):
    """Blocks of so many vectors that hold so many channels or filters."""
    return -(-count // (vectors * vector.lanes_of(dtype)))


def laid_out_elements(images, step=1):
    """Elements that `lay_out` allocates."""
    if _channels_last(images) is not None:
        return 0
    batch, channels, *size = images.shape
    pixels = prod(-(-side // step) for side in size)
    lanes = vector.lanes_of(images.dtype)
    return batch * block_count(channels, images.dtype) * lanes * pixels


def lay_out(images, step=1):
    """Put the channels of a pixel together.

    Parameters
    ----------
    images : ndarray, shape (batch, channels, height, width)
        Those that lie channels last serve as they are.
    step : int
        Only every so many rows and columns are needed.

    Returns
    -------
    Pixels
    """
    batch, channels, height, across = images.shape
    lanes, dtype = vector.lanes_of(images.dtype), images.dtype
    blocks = block_count(channels, dtype)
    last = _channels_last(images)
    if last is not None:
        pitches = height * across * channels, step * across * channels, step * channels
        return Pixels(last.reshape(-1), _multiples(blocks, lanes), pitches)
    columns = -(-across // step)
    plane = -(-height // step) * columns * lanes
    flat, images = np.empty(batch * blocks * plane, dtype), plain(images)
    if step == 1:
        images = images.reshape(batch, channels, 1, height * across)
    if flat.size < SMALLEST_COPY or numba.get_num_threads() == 1:
        _fill(images, step, (0, batch * blocks), flat)
    else:
        fill = address_of(_fill, images, step, (0, 0), flat)
        _fill_shared(fill, images, step, batch * blocks, flat)
    return Pixels(flat, _multiples(blocks, plane), (blocks * plane, columns * lanes, lanes))


def _channels_last(images):
    """Images (batch, height, width, channels) as they lie, or None where they do not lie so."""
    last = images.transpose(0, 2, 3, 1)
    return last if last.flags.carray and not images.flags.carray else None


@lru_cache
def _multiples(count, pitch):
    return np.arange(count, dtype=np.int64) * pitch


@njit(cache=True)
def _fill_row(seen, at, pitch, across, flat, to):
    """Fill a row with every other pixel of as many channels as there are lanes."""
    lanes, columns = vector.width(flat), (across + 1) // 2
    for column in range(0, columns, lanes):
        # The last tile reaches back to be whole.
        x = min(column, columns - lanes)
        some = min(2 * lanes, across - 2 * x)
        pairs = vector.load_rows(seen, at + 2 * x, pitch, lanes, lanes, 2, some)
        tile = vector.transpose(vector.even_lanes(pairs))
        vector.store_tile(flat, to + x * lanes, lanes, tile)


@njit(cache=True)
def _fill(images, step, blocks, flat):
    """Fill some of the blocks, of a vector of channels of an image each."""
    lanes = vector.width(images)
    channels, height, across = images.shape[1:]
    columns = (across + step - 1) // step
    plane = (height + step - 1) // step * columns * lanes
    own = (channels + lanes - 1) // lanes
    seen, pitch = images.reshape(-1), height * across
    lines = np.zeros(lanes * lanes, images.dtype)
    square = np.empty(lanes * lanes, images.dtype)
    for number in range(blocks[0], blocks[1]):
        first = number % own * lanes
        joint = min(lanes, channels - first)
        begin = (number // own * channels + first) * pitch
        for y in range(0, height, step):
            to = number * plane + y // step * columns * lanes
            if step == 2 and joint == lanes <= columns:
                _fill_row(seen, begin + y * across, pitch, across, flat, to)
                continue
            for column in range(0, across, lanes):
                # The last tile reaches back to be whole: parts of one take longer.
                x = max(min(column, across - lanes), 0) if step == 1 else column
                at, some = begin + y * across + x, min(lanes, across - x)
                if joint == lanes == some:
                    tile = vector.load_tile(seen, at, pitch, lanes, lanes)
                else:
                    for i in range(joint):
                        line = vector.load_first(seen, at + i * pitch, lanes, some)
                        vector.store(lines, i * lanes, line)
                    tile = vector.load_tile(lines, 0, lanes, lanes, lanes)
                if step == 1 and some == lanes:
                    vector.store_tile(flat, to + x * lanes, lanes, vector.transpose(tile))
                    continue
                vector.store_tile(square, 0, lanes, vector.transpose(tile))
                for i in range(-x % step, some, step):
                    pixel = vector.load(square, i * lanes, lanes)
                    vector.store(flat, to + (x + i) // step * lanes, pixel)


@njit(cache=True, parallel=True)
def _fill_shared(fill, images, step, blocks, flat):
    for block in prange(blocks):
        number = np.int64(block)
        call(fill, (images, step, (number, number + 1), flat))


def sampled(filter_size, stride, padding):
    """How far apart the pixels lie that a layer sees, of rows and of columns alike."""
    return stride if filter_size == (1, 1) and not any(map(any, padding)) else 1
