"""`conv2d` and its input gradient with filters as lanes, over images with channels together."""

from functools import lru_cache
from itertools import product

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.convolution import conv2d_channels_last as channels_last
from convgrad.kernels.convolution.conv2d_numba import backward_layout
from convgrad.kernels.convolution.conv2d_numba_planes import (
    PLANS,
    channel_length,
    forward_layout,
    plane_numbers,
    tap_offsets,
)
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_PIXELS = 12 if vector.register_bytes() == 64 else 6
MOST, SOME = (0,) * _PIXELS, (0,) * (_PIXELS // 3)
"""Pixels whose sums stay in registers: with two vectors of filters 24 of 32, or 12 of 16."""
_HALF = 7 if vector.register_bytes() == 64 else 3
_TWO = (0,) * (2 * _HALF)
"""Pixels of half a tile: where rows are as long as some of these, no output is lost."""
VECTORS = 2
"""Of filters in a block."""
_RUN = 72
"""About so many outputs are worked on together: each weight that is read serves all of them."""
SMALLEST_PART = 1 << 18
"""Products, about 10 us of work: less is not worth waking a thread."""
_SMALLEST_COPY = 1 << 15
"""Elements, a few microseconds of copying: less is not worth waking a thread."""


@njit(cache=True)
def _store_pixels(square, lanes, count, to, stride, planes, length, x, blocked):
    """Write the vectors of ``count`` pixels from column x on to the planes that they belong to."""
    for i in range(count):
        plane = planes[(x + i) % stride]
        if plane >= 0:
            at = to + (plane * length + (x + i) // stride) * lanes
            vector.store(blocked, at, vector.load(square, i * lanes, lanes))


@njit(cache=True)
def _fill_block(images, number, layout, rows, columns, blocked):
    """Fill the planes of one block of channels of one image, with zeros around the pixels.

    Parameters
    ----------
    number : int
        Of the block, among those of all images.
    layout : (int, int, int, int, int)
        Zeros above and to the left, stride, pitch, length.
    rows, columns : ndarray
        Planes by the remainder of row and column; -1 where none is needed.
    blocked : ndarray
        As ``conv2d_numba_planes`` has planes, with a vector of channels for a pixel.
    """
    lanes = vector.width(images)
    channels, height, across = images.shape[1:]
    top, left, stride, pitch, length = layout
    blocks = (channels + lanes - 1) // lanes
    image, first = number // blocks, number % blocks * lanes
    count = columns.max() + 1
    size = (rows.max() + 1) * count * length * lanes
    begin = number * size
    if stride > 1 or top > 0 or left > 0 or pitch != across or length > height * across:
        for i in range(begin, begin + size):
            blocked[i] = 0
    flat, plane = images.reshape(-1), height * across
    square = np.zeros(lanes * lanes, images.dtype)
    for y in range(height):
        kind, row = rows[(y + top) % stride], (y + top) // stride
        if kind < 0 or row * pitch >= length:
            continue
        to = begin + (kind * count * length + row * pitch) * lanes
        width = min(across, (length - row * pitch) * stride - left)
        seen = ((image * channels + first) * height + y) * across
        for x in range(0, width, lanes):
            some, own = min(lanes, width - x), to + (x + left) * lanes
            if first + lanes > channels:
                for i in range(some):
                    for lane in range(channels - first):
                        square[i * lanes + lane] = flat[seen + lane * plane + x + i]
            elif some == lanes:
                tile = vector.transpose(vector.load_tile(flat, seen + x, plane, lanes, lanes))
                if stride == 1:
                    vector.store_tile(blocked, own, lanes, tile)
                    continue
                vector.store_tile(square, 0, lanes, tile)
            else:
                tile = vector.load_rows(flat, seen + x, plane, lanes, lanes, 1, some)
                vector.store_tile(square, 0, lanes, vector.transpose(tile))
            if stride == 1:
                for i in range(0, some * lanes, lanes):
                    vector.store(blocked, own + i, vector.load(square, i, lanes))
            else:
                _store_pixels(square, lanes, some, to, stride, columns, length, x + left, blocked)


@njit(cache=True)
def _fill_blocks(images, layout, rows, columns, count, blocked):
    for number in range(count):
        _fill_block(images, number, layout, rows, columns, blocked)


@njit(cache=True, parallel=True)
def _fill_blocks_shared(images, layout, rows, columns, count, blocked):
    for number in prange(count):
        _fill_block(images, np.int64(number), layout, rows, columns, blocked)


@njit(cache=True)
def _pack_block(filters, block, weights):
    """Set the weights of a block of filters: of channels and taps in turn, a vector or two each."""
    lanes = vector.width(filters)
    count, channels, taps = filters.shape
    step = VECTORS * lanes
    wide = min((count - block * step + lanes - 1) // lanes, VECTORS) * lanes
    flat, own = filters.reshape(-1), channels * taps
    square = np.zeros(lanes * lanes, filters.dtype)
    begin = block * own * step
    for part in range(0, wide, lanes):
        first = block * step + part
        for i in range(0, own, lanes):
            some = min(lanes, own - i)
            if first + lanes <= count:
                tile = vector.load_rows(flat, first * own + i, own, lanes, lanes, 1, some)
                vector.store_tile(square, 0, lanes, vector.transpose(tile))
            else:
                for j in range(some):
                    for lane in range(count - first):
                        square[j * lanes + lane] = flat[(first + lane) * own + i + j]
            for j in range(some):
                channel, tap = (i + j) // taps, (i + j) % taps
                group = channel // lanes * lanes
                deep = min(lanes, channels - group)
                at = begin + (group * taps + tap * deep + channel - group) * wide + part
                vector.store(weights, at, vector.load(square, j * lanes, lanes))


@njit(cache=True)
def _pack_turned(filters, taps, block, weights):
    """As `_pack_block`, with some of the taps, and channels and filters exchanged."""
    lanes = vector.width(filters)
    channels, count, all_taps = filters.shape
    step = VECTORS * lanes
    wide = min((count - block * step + lanes - 1) // lanes, VECTORS) * lanes
    flat = filters.reshape(-1)
    squares = np.zeros((all_taps + lanes) * lanes, filters.dtype)
    for channel in range(channels):
        group = channel // lanes * lanes
        deep = min(lanes, channels - group)
        for part in range(0, wide, lanes):
            first = block * step + part
            seen = (channel * count + first) * all_taps
            if first + lanes <= count:
                for tap in range(0, all_taps, lanes):
                    some = min(lanes, all_taps - tap)
                    tile = vector.load_rows(flat, seen + tap, all_taps, lanes, lanes, 1, some)
                    vector.store_tile(squares, tap * lanes, lanes, vector.transpose(tile))
            else:
                for lane in range(count - first):
                    for tap in range(all_taps):
                        squares[tap * lanes + lane] = flat[seen + lane * all_taps + tap]
            at = block * channels * len(taps) * step + part
            for number in range(len(taps)):
                place = (group * len(taps) + number * deep + channel - group) * wide
                row = vector.load(squares, taps[number] * lanes, lanes)
                vector.store(weights, at + place, row)


@njit(cache=True, parallel=True)
def _pack_all(filters, weights, blocks):
    for block in prange(blocks):
        _pack_block(filters, np.int64(block), weights)


@njit(cache=True, parallel=True)
def _pack_all_turned(filters, taps, weights, blocks):
    for block in prange(blocks):
        _pack_turned(filters, taps, np.int64(block), weights)


@njit(cache=True)
def _set_tile(pixels, at, second, offsets, depth, weights, first, sums, to, tile, vectors):
    """Set the sums of some pixels over all channels, half of them from each place on.

    ``depth`` is the number of channels and of taps, the first tap and the one after the last.
    ``tile`` and ``vectors`` are tuples, as long as there are sums, and vectors of filters.
    """
    lanes, (channels, taps, low, high) = vector.width(pixels), depth
    total, step = vector.zero_tile(pixels, lanes, len(tile)), len(vectors) * lanes
    for block in range((channels + lanes - 1) // lanes):
        deep = min(lanes, channels - block * lanes)
        row = first + (block * lanes * taps + low * deep) * step
        for number in range(block * taps + low, block * taps + high):
            here, half = (at + offsets[number]) * lanes, (second + offsets[number]) * lanes
            total = vector.add_panel(
                total, pixels, here, half, lanes, 1, weights, row, step, lanes, deep, len(vectors)
            )
            row += deep * step
    vector.store_tile(sums, to, lanes, total)


@njit(cache=True)
def _set_pixels(pixels, at, second, offsets, depth, weights, first, sums, to, tile, wide):
    if wide:
        own = pixels, at, second, offsets, depth, weights, first, sums, to, tile + tile
        _set_tile(*own, (0, 0))
    else:
        own = pixels, at, second, offsets, depth, weights, first, sums, to, tile
        _set_tile(*own, (0,))


@njit(cache=True)
def _set_run(pixels, start, length, offsets, depth, weights, first, sums, begin, vectors):
    """Set the sums of a run of outputs with a block of filters of one vector or two."""
    lanes, done, wide = vector.width(pixels), 0, vectors == 2
    while done < length:
        at, to, left = start + done, begin + done * vectors * lanes, length - done
        own = offsets, depth, weights, first, sums, to
        if left >= len(MOST):
            _set_pixels(pixels, at, at + len(MOST) // 2, *own, MOST, wide)
            done += len(MOST)
        else:
            _set_pixels(pixels, at, at + len(SOME) // 2, *own, SOME, wide)
            done += len(SOME)


@njit(cache=True)
def _set_halves(pixels, start, rows, reached, offsets, depth, weights, first, sums, vectors):
    """As `_set_run`, for ``rows``: their pitch, number, and halves of a tile; two go together."""
    lanes, (pitch, count, halves) = vector.width(pixels), rows
    for half in range(0, count * halves, 2):
        other = min(half + 1, count * halves - 1)
        (low, high), (second_low, second_high) = reached[half // halves], reached[other // halves]
        taps = depth[0], depth[1], min(low, second_low), max(high, second_high)
        at = start + half // halves * pitch + half % halves * _HALF
        second = start + other // halves * pitch + other % halves * _HALF
        to = half * _HALF * vectors * lanes
        if other > half:
            own = offsets, taps, weights, first, sums, to
            _set_pixels(pixels, at, second, *own, _TWO, vectors == 2)
        else:
            _set_run(pixels, at, _HALF, offsets, taps, weights, first, sums, to, vectors)


@njit(cache=True)
def unpack_row(sums, at, step, count, plane, square, result, place, apart):
    """Write the outputs of a row, a vector of filters each, to the planes of ``plane`` filters."""
    lanes = vector.width(sums)
    filters, size = plane
    for x in range(0, count, lanes):
        some = min(lanes, count - x)
        tile = vector.load_tile(sums, at + x * step, step, lanes, lanes)
        to = place + x * apart
        if apart == 1 and filters == lanes and some == lanes:
            vector.store_tile(result, to, size, vector.transpose(tile))
            continue
        vector.store_tile(square, 0, lanes, vector.transpose(tile))
        for i in range(filters):
            if apart == 1:
                kept = vector.load(square, i * lanes, lanes)
                vector.store_first(result, to + i * size, kept, some)
            else:
                for j in range(some):
                    result[to + i * size + j * apart] = square[i * lanes + j]


@njit(cache=True)
def _do_items(blocked, offsets, reached, taps, channels, weights, counts, target, items, result):
    """Do some items of work: some rows of outputs of one image, for a share of the filters.

    Parameters
    ----------
    blocked, offsets : ndarray
        Planes, and where in those of an image the taps' pixels lie for the first output.
    reached : ndarray
        From `_reached`.
    taps, channels : int
    weights : ndarray
        From `_pack_block`.
    counts : (int, int, int, int, int, int, int, int, int)
        Pixels of an image in the planes, and of a row; rows and columns of these outputs, and
        columns of the last row; rows of an item, and shares of the filters; halves of tiles in a
        row, or 0; outputs of a row that are computed, its pixels to run across rows.
    target : (int, int, int, int)
        Row and column of the first output in the result, how far apart they lie there, and how
        far rows do.
    items : (int, int)
        First item, and the one after the last.
    result : ndarray, shape (batch, filters, height, width)
    """
    lanes = vector.width(blocked)
    image_length, pitch, rows, columns, last, together, shares, halves, wide = counts
    first_row, first_column, apart, across = target
    filters, plane = result.shape[1], result.shape[2] * result.shape[3]
    flat = result.reshape(-1)
    step = VECTORS * lanes
    blocks = (filters + step - 1) // step
    groups = (rows + together - 1) // together
    sums = np.empty((together * wide + len(_TWO) + lanes) * step, blocked.dtype)
    square = np.empty(lanes * lanes, blocked.dtype)
    for item in range(items[0], items[1]):
        share, group = item % shares, item // shares
        image, top = group // groups, group % groups * together
        some = min(together, rows - top)
        pixels = blocked[image * image_length * lanes :]
        length = (some - 1) * pitch + (last if top + some == rows else columns)
        for block in range(share * blocks // shares, (share + 1) * blocks // shares):
            vectors = min((filters - block * step + lanes - 1) // lanes, VECTORS)
            first = block * channels * taps * step
            start, own = top * pitch, (weights, first, sums)
            if wide == pitch:
                depth = channels, taps, 0, taps
                _set_run(pixels, start, length, offsets, depth, *own, 0, vectors)
            elif halves:
                shape, depth = (pitch, some, halves), (channels, taps, 0, taps)
                _set_halves(pixels, start, shape, reached[top:], offsets, depth, *own, vectors)
            else:
                for row in range(some):
                    low, high = reached[top + row]
                    depth, to = (channels, taps, low, high), row * wide * vectors * lanes
                    at = start + row * pitch
                    _set_run(pixels, at, columns, offsets, depth, *own, to, vectors)
            for part in range(vectors):
                number = block * step + part * lanes
                size = min(lanes, filters - number), plane
                start = (image * filters + number) * plane + first_column
                for row in range(some):
                    place = start + (first_row + (top + row) * apart) * across
                    at = (row * wide * vectors + part) * lanes
                    count = last if top + row == rows - 1 else columns
                    unpack_row(sums, at, vectors * lanes, count, size, square, flat, place, apart)


@njit(cache=True, parallel=True)
def _do_items_shared(
    blocked, offsets, reached, taps, channels, weights, counts, target, items, parts, result
):
    for part in prange(parts):
        own = part * items // parts, (part + 1) * items // parts
        _do_items(blocked, offsets, reached, taps, channels, weights, counts, target, own, result)


def block_count(count, dtype, vectors=1):
    """Blocks of so many vectors that hold so many channels or filters."""
    return -(-count // (vectors * vector.lanes_of(dtype)))


def lay_out(images, layout):
    """Planes of all images with a vector of channels for a pixel; see `_fill_block`."""
    batch, channels, height, across = images.shape
    last = images.transpose(0, 2, 3, 1)
    fills, seen = (_fill_blocks, _fill_blocks_shared), images
    if last.flags.carray and not images.flags.carray:
        fills, seen = (channels_last.fill_blocks, channels_last.fill_blocks_shared), last
    elif layout.stride == 1 and layout.before == (0, 0) and layout.pitch == across:
        # No zeros between rows: an image is one row.
        seen = plain(images).reshape(batch, channels, 1, height * across)
        layout = layout._replace(pitch=max(height * across, layout.length))
    count = len(images) * block_count(images.shape[1], images.dtype)
    blocked = np.empty(laid_out_elements(images, layout), images.dtype)
    blocked[-_slack(images.dtype) :] = 0
    integers = *layout.before, layout.stride, layout.pitch, layout.length
    fills[blocked.size >= _SMALLEST_COPY](
        plain(seen), integers, *plane_numbers(layout), count, blocked
    )
    return blocked


def _slack(dtype):
    """Elements at the end, for tiles that are rounded up."""
    return len(_TWO) * vector.lanes_of(dtype)


def laid_out_elements(images, layout):
    """Elements that `lay_out` allocates."""
    lanes = vector.lanes_of(images.dtype)
    count = len(images) * block_count(images.shape[1], images.dtype)
    return count * channel_length(layout) * lanes + _slack(images.dtype)


def _weights_elements(count, own, dtype):
    return block_count(count, dtype, VECTORS) * VECTORS * vector.lanes_of(dtype) * own


def _pack(filters):
    """Pack filters (filters, channels, height, width) for `_do_items`."""
    count, channels, height, width = filters.shape
    own = channels * height * width
    weights = np.empty(_weights_elements(count, own, filters.dtype), filters.dtype)
    blocks = block_count(count, filters.dtype, VECTORS)
    _pack_all(plain(filters).reshape(count, channels, -1), weights, blocks)
    return weights


@lru_cache(PLANS)
def _reached(rows, across, layout, height):
    """First tap, and the one after the last, of the rows of taps that see pixels, by output row."""
    planes, shifts = np.array(rows.planes), np.array(rows.shifts)
    places = np.add.outer(np.arange(rows.count), shifts) * layout.stride - layout.before[0]
    places += np.array(layout.remainders[0])[planes]
    seen = (places >= 0) & (places < height)
    low, high = seen.argmax(1), len(shifts) - seen[:, ::-1].argmax(1)
    return np.stack([low, np.where(seen.any(1), high, low)], 1) * across


def _correlate(blocked, layout, height, channels, weights, rows, columns, step, result):
    """Set the outputs that ``rows`` and ``columns`` describe, ``step`` apart in the result."""
    batch, filters = result.shape[:2]
    blocks, length = block_count(channels, result.dtype), channel_length(layout)
    taps = len(rows.taps) * len(columns.taps)
    if taps == 0:
        result[:, :, rows.first :: step, columns.first :: step] = 0
        return
    offsets = tap_offsets(blocks, length, rows, columns, layout)
    pitch, down, beside, last = layout.pitch, rows.count, columns.count, columns.count
    work = batch * filters * down * beside * channels * taps
    across, whole = result.shape[3], pitch == beside == result.shape[3] and step == 1
    if whole:
        # Nothing lies between rows, which may be cut anywhere.
        outputs, even = down * beside, -(-down * beside // _RUN)
        pitch = beside = across = -(-outputs // (even * _PIXELS)) * _PIXELS
        down = -(-outputs // pitch)
        last = outputs - (down - 1) * pitch
    outputs = (down - 1) * pitch + last
    together = min(max(round(_RUN / pitch), 1), down)
    items = batch * -(-down // together)
    parts = max(min(work // SMALLEST_PART, numba.get_num_threads()), 1)
    shares = parts if items % parts and items < 8 * parts else 1
    shares = min(shares, block_count(filters, result.dtype, VECTORS))
    items *= shares
    parts = min(parts, items)
    # Rows are done one by one, in halves of tiles or in whole and small ones, where that is less.
    sevens = -(-beside // _HALF) * _HALF
    fours = beside // _PIXELS * _PIXELS + -(-(beside % _PIXELS) // len(SOME)) * len(SOME)
    halves, wide = 0, pitch
    if not whole and min(sevens, fours) < pitch:
        halves, wide = (sevens // _HALF, sevens) if sevens <= fours else (0, fours)
    counts = blocks * length, pitch, down, beside, last, together, shares, halves, wide
    target = rows.first, columns.first, step, across
    reached = _reached(rows, len(columns.taps), layout, height)
    arguments = blocked, offsets, reached, taps, channels, weights, counts, target
    if parts == 1:
        _do_items(*arguments, (0, items), result)
    else:
        _do_items_shared(*arguments, items, parts, result)


def _serves(images, filters, *, groups, **_):
    return None if groups == 1 else "its blocks are of all channels: one group only"


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """Planes, and packed weights."""
    size, (count, *own) = images.shape[2:], filters.shape
    sides = output_sides(size, filters.shape[2:], stride, padding, dilation)
    *_, layout = forward_layout(size, filters.shape[2:], sides, stride, padding, dilation)
    elements = _weights_elements(count, int(np.prod(own)), filters.dtype)
    return (laid_out_elements(images, layout) + elements) * images.itemsize


def _run(images, filters, *, stride, padding, dilation, groups, out, weights):
    size, filter_size = images.shape[2:], filters.shape[2:]
    sides = output_sides(size, filter_size, stride, padding, dilation)
    *axes, layout = forward_layout(size, filter_size, sides, stride, padding, dilation)
    if out is None:
        out = np.empty((len(images), len(filters), *sides), images.dtype)
    blocked, (height, _) = lay_out(images, layout), size
    _correlate(blocked, layout, height, filters.shape[1], weights, *axes, 1, out)
    return out


def _keep(filters, **options):
    weights = _pack(filters)
    return lambda images, out=None: _run(images, filters, out=out, weights=weights, **options)


@kernel("conv2d", family="numba", serves=_serves, workspace=_workspace, prepare=_keep)
def numba_blocked(images, filters, *, stride, padding, dilation, groups, out=None):
    """Direct sums with filters as lanes: 12 pixels x 2 vectors of filters in registers.

    Images and filters are copied so that a vector of channels lies together (the blocked layout of
    Georganas et al., 2018), images that lie channels last as they lie: a tile of 12 pixels (6 on
    16 registers) takes, for each channel of a tap, 2 loads of weights and 12 broadcasts for 24
    multiply-adds, with all addresses known from one. Tiles run across rows and the zeros that
    these share, as in ``numba_parallel``, or stay in their rows where fewer outputs are computed
    so, and then leave out the rows of taps that see zeros alone; sums are turned round to planes at
    last. As many flops as the definition, less those, and a few percent more for outputs between
    rows. Sums run in a fixed order. Work is split over images, rows and blocks of filters.
    Prepared, filters are kept packed. For layers of some ten channels and filters, small images
    too; no groups.
    """
    weights, options = _pack(filters), {"stride": stride, "padding": padding}
    options |= {"dilation": dilation, "groups": groups}
    return _run(images, filters, out=out, weights=weights, **options)


def _gradient_workspace(output_gradient, filters, *, image_size, stride, padding, dilation, **_):
    """Planes, and packed weights."""
    sides, filter_size = output_gradient.shape[2:], filters.shape[2:]
    *_, layout = backward_layout(sides, filter_size, image_size, stride, padding, dilation)
    own = filters.size // filters.shape[1]
    elements = _weights_elements(filters.shape[1], own, filters.dtype)
    return (laid_out_elements(output_gradient, layout) + elements) * filters.itemsize


def _pack_backward(filters, rows, columns):
    """Pack the taps that reach some pixels, with channels and filters exchanged."""
    channels, count, _, width = filters.shape
    taps = np.add.outer(np.multiply(rows.taps, width), columns.taps).ravel().astype(np.int64)
    weights = np.empty(_weights_elements(count, channels * taps.size, filters.dtype), filters.dtype)
    blocks = block_count(count, filters.dtype, VECTORS)
    _pack_all_turned(plain(filters).reshape(channels, count, -1), taps, weights, blocks)
    return weights


def _run_back(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out, pack
):
    sides, filter_size = output_gradient.shape[2:], filters.shape[2:]
    *axes, layout = backward_layout(sides, filter_size, image_size, stride, padding, dilation)
    if out is None:
        out = np.empty((len(output_gradient), filters.shape[1], *image_size), filters.dtype)
    blocked = lay_out(output_gradient, layout)
    for number, (rows, columns) in enumerate(product(*axes)):
        weights = pack(number, rows, columns)
        _correlate(blocked, layout, sides[0], len(filters), weights, rows, columns, stride, out)
    return out


def _keep_turned(filters, **options):
    kept = {}

    def pack(number, rows, columns):
        if number not in kept:
            kept[number] = _pack_backward(filters, rows, columns)
        return kept[number]

    return lambda gradient, out=None: _run_back(gradient, filters, out=out, pack=pack, **options)


@kernel(
    "conv2d_input_gradient",
    family="numba",
    name="numba_blocked",
    serves=_serves,
    workspace=_gradient_workspace,
    prepare=_keep_turned,
)
def input_gradient_blocked(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """The loops of ``numba_blocked`` over output gradients, once for each remainder of a stride.

    As many flops as the definition: the pixels that lie a stride apart are reached by the same
    taps, and are the outputs of a convolution of these alone.
    """
    options = {"image_size": image_size, "stride": stride, "padding": padding}
    options |= {"dilation": dilation, "groups": groups}
    return _run_back(
        output_gradient,
        filters,
        out=out,
        pack=lambda _, rows, columns: _pack_backward(filters, rows, columns),
        **options,
    )
