"""`conv2d_int8` with Numba: four channels of a pixel in a word, filters as lanes."""

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.convolution.conv2d_blocked_outputs import unpack_row
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.products.quantised_bytes import OFFSET, find_scale, quantise
from convgrad.kernels.products.quantised_conv2d_operation import quantise_filters
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

LANES = vector.lanes_of(np.int32)
PANEL = 2 * LANES
"""Filters that lie together: two vectors of sums."""
_MOST = (0,) * (14 if vector.register_bytes() == 64 else 6)
"""Pixels that go together: with two vectors, 28 sums of 32 registers, or 12 of 16."""
_HALF = (0,) * (len(_MOST) // 2)
_SMALLEST_PART = 1 << 20
"""Products, about 5 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _fill_words(images, scales, number, layout, words):
    """Set the words of four channels of one image, with level zero around the pixels.

    Columns go by their remainder with the stride: outputs side by side see words side by side.
    """
    channels, height, width = images.shape[1:]
    top, left, stride, rows, columns = layout
    blocks = (channels + 3) // 4
    image, first = number // blocks, number % blocks * 4
    own = words[number * rows * stride * columns : (number + 1) * rows * stride * columns]
    row, seen = np.full((4, width), OFFSET, np.uint8), min(height, rows - top)
    line = np.full(stride * columns, 0x80808080, np.uint32).view(np.int32)
    for y in range(rows):
        to = y * stride * columns
        for i in range(stride * columns):
            own[to + i] = line[i]
    for y in range(seen):
        for lane in range(min(4, channels - first)):
            quantise(images[image, first + lane, y], scales[image], row[lane])
        for x in range(min(width, stride * columns - left)):
            word = np.uint32(row[0, x]) | np.uint32(row[1, x]) << np.uint32(8)
            word |= np.uint32(row[2, x]) << np.uint32(16) | np.uint32(row[3, x]) << np.uint32(24)
            line[left + x] = np.int32(word)
        to = (top + y) * stride * columns
        for remainder in range(stride):
            for i in range(columns):
                own[to + remainder * columns + i] = line[i * stride + remainder]


@njit(cache=True)
def _find_scales(images, bits, known, scales, own_bits):
    for image in range(len(images)):
        find_scale(images[image], bits[image], known, scales, own_bits, image)


@njit(cache=True, parallel=True)
def _fill_all(images, scales, count, layout, words):
    for number in prange(count):
        _fill_words(images, scales, np.int64(number), layout, words)


@njit(cache=True)
def _set_tile(words, at, offsets, form, panel, scale, sums, to, tile, vectors):
    """Set the sums of some pixels, ``tile`` and ``vectors`` as long as there are these and sums."""
    weights, starts, scales = form
    place = panel * PANEL
    total = vector.repeat(vector.load_tile(starts, place, LANES, LANES, 2), len(tile))
    first = place * len(offsets)
    for number in range(len(offsets)):
        own = vector.load_tile(weights, first + number * PANEL, LANES, LANES, 2)
        seen = vector.broadcast_tile(words, at + offsets[number], 1, LANES, len(tile))
        total = vector.add_dots(total, seen, own)
    own = vector.load_tile(scales, place, LANES, LANES, 2)
    one = vector.broadcast_tile(scale, 0, 1, LANES, 1)
    factors = vector.add_outer(vector.zero_tile(scales, LANES, 2), one, own)
    none, numbers = vector.zero_tile(scales, LANES, len(vectors)), vector.as_numbers(total, scales)
    result = vector.add_products(none, numbers, vector.repeat(factors, len(tile)))
    vector.store_tile(sums, to, LANES, result)


@njit(cache=True)
def _set_rows(words, offsets, form, image_scales, counts, units, result):
    """Set some rows of outputs of some panels of filters.

    Parameters
    ----------
    words : ndarray of int32
    offsets : ndarray
        Where the words of each four channels and tap lie for the first output.
    form : tuple of ndarray
        From `pack`.
    counts : (int, int)
        Words of an image, and between the first words of two rows of outputs.
    units : (int, int)
        Rows of panels of images; first, and one after the last.
    result : ndarray, shape (batch, filters, height, width)
    """
    image_words, pitch = counts
    filters, height, width = result.shape[1:]
    panels, flat, lanes = (filters + PANEL - 1) // PANEL, result.reshape(-1), vector.width(result)
    sums = np.empty((width + len(_MOST) + LANES) * PANEL, result.dtype)
    square = np.empty(lanes * lanes, result.dtype)
    for unit in range(units[0], units[1]):
        y, panel, image = unit % height, unit // height % panels, unit // height // panels
        at, scale = image * image_words + y * pitch, image_scales[image:]
        done = 0
        while done < width:
            own = words, at + done, offsets, form, panel, scale, sums, done * PANEL
            if width - done > len(_HALF):
                _set_tile(*own, _MOST, _MOST + _MOST)
                done += len(_MOST)
            else:
                _set_tile(*own, _HALF, _HALF + _HALF)
                done += len(_HALF)
        for part in range(0, min(PANEL, filters - panel * PANEL), lanes):
            first = panel * PANEL + part
            plane = min(lanes, filters - first), height * width
            place = ((image * filters + first) * height + y) * width
            unpack_row(sums, part, PANEL, width, plane, square, flat, place)


@njit(cache=True, parallel=True)
def _set_rows_shared(words, offsets, form, image_scales, counts, units, parts, result):
    for part in prange(parts):
        own = np.int64(part) * units // parts, (np.int64(part) + 1) * units // parts
        _set_rows(words, offsets, form, image_scales, counts, own, result)


def pack(filters, scale_per):
    """Keep filters for `_set_rows`.

    Returns
    -------
    weights : ndarray of int32
        Four channels of a tap in a word: panels, channels, taps, filters.
    starts : ndarray of int32
        What the sums of a filter start from, so that the offset of the pixels does not count.
    scales : ndarray
        All of them flat, with zeros for filters and channels that fill a panel or a word.
    """
    levels, scales = quantise_filters(filters, scale_per)
    count, channels = filters.shape[:2]
    levels = (
        np.nan_to_num(levels, copy=False).astype(np.int8, copy=False).reshape(count, channels, -1)
    )
    levels = np.pad(levels, [(0, -count % PANEL), (0, -channels % 4), (0, 0)])
    starts = -OFFSET * levels.sum(axis=(1, 2), dtype=np.int32)
    words = levels.reshape(-1, PANEL, levels.shape[1] // 4, 4, levels.shape[2])
    words = np.ascontiguousarray(words.transpose(0, 2, 4, 1, 3)).view(np.int32)
    return words.ravel(), starts, np.pad(scales, (0, -count % PANEL))


def _layout(filter_size, sides, stride, padding, dilation):
    """Zeros above and to the left, stride, rows, and columns of a remainder."""
    (top, _), (left, _) = padding
    rows, width = (
        (side - 1) * stride + (taps - 1) * dilation + 1 for side, taps in zip(sides, filter_size)
    )
    return top, left, stride, max(rows, top + 1), max(-(-width // stride), left // stride + 1)


def _offsets(blocks, filter_size, layout, dilation):
    """Where the words of each four channels and tap lie for the first output."""
    *_, stride, rows, columns = layout
    row, column = (np.arange(taps) * dilation for taps in filter_size)
    places = row[:, np.newaxis] * stride * columns + column % stride * columns + column // stride
    first = np.arange(blocks) * rows * stride * columns
    return np.add.outer(first, places.ravel()).ravel()


def _run(images, form, filter_shape, input_scale, out, *, stride, padding, dilation, groups):
    filters, channels, *filter_size = filter_shape
    images = plain(images)
    batch, *_ = images.shape
    sides = output_sides(images.shape[2:], filter_size, stride, padding, dilation)
    layout = _layout(filter_size, sides, stride, padding, dilation)
    *_, rows, columns = layout
    blocks, plane = -(-channels // 4), rows * stride * columns
    words = np.zeros(batch * blocks * plane + len(_MOST), np.int32)
    scales = np.empty(batch, images.dtype)
    flat, integers = images.reshape(batch, -1), f"i{images.itemsize}"
    known = images.dtype.type(input_scale or 0)
    _find_scales(flat, flat.view(integers), known, scales, scales.view(integers))
    _fill_all(images, scales, batch * blocks, layout, words)
    if out is None:
        out = np.empty((batch, filters, *sides), images.dtype)
    units = batch * -(-filters // PANEL) * sides[0]
    work = out.size * channels * filter_size[0] * filter_size[1]
    parts = max(min(work // _SMALLEST_PART, numba.get_num_threads(), units), 1)
    offsets = _offsets(blocks, filter_size, layout, dilation)
    arguments = words, offsets, form, scales, (blocks * plane, stride * stride * columns)
    if parts == 1:
        _set_rows(*arguments, (0, units), out)
    else:
        _set_rows_shared(*arguments, units, parts, out)
    return out


def _keep(filters, *, scale_per, input_scale, **layer):
    form, shape = pack(filters, scale_per), filters.shape
    return lambda images, out=None: _run(images, form, shape, input_scale, out, **layer)


def _serves(images, filters, *, groups, **_):
    return None if groups == 1 else "its words are of all channels: one group only"


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """Words of the images, and filters as floats and as bytes."""
    filter_size = filters.shape[2:]
    sides = output_sides(images.shape[2:], filter_size, stride, padding, dilation)
    *_, rows, columns = _layout(filter_size, sides, stride, padding, dilation)
    words = len(images) * -(-images.shape[1] // 4) * rows * stride * columns
    return 4 * words + filters.size * (filters.itemsize + 2)


@kernel(
    "conv2d_int8",
    family="numba",
    algorithm="int8",
    serves=_serves,
    workspace=_workspace,
    prepare=_keep,
)
def numba_bytes(images, filters, *, scale_per, input_scale, out=None, **layer):
    """Sums of 14 pixels x 2 vectors of filters in registers, four channels in every lane.

    Images become words of four channels, and a table says where those of each tap lie: 14
    broadcasts and 2 loads of weights for 28 times ``vpdpbusd`` (AVX-512 VNNI; 6 pixels on 16
    registers, widened products where it is missing), 4 times the multiply-adds of floats (the
    direct scheme of Georganas et al., 2018, with bytes). As many operations as the definition,
    more where channels make no fours and rows no tiles; 1 byte a pixel and weight. Sums are
    exact, results have 3 roundings. Rows of outputs are turned round to planes at last. Work is
    split over images, filters and rows. Prepared, filters are kept packed. For layers of some ten
    channels and filters; no groups.
    """
    return _run(images, pack(filters, scale_per), filters.shape, input_scale, out, **layer)
