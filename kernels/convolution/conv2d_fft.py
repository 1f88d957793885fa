"""`conv2d` and its gradients by FFT, tile by tile.

Images are cut into overlapping tiles (overlap-save); their spectra are multiplied by those of the
filters, and summed over channels, as one matrix product per frequency: Mathieu, Henaff and LeCun,
*Fast training of convolutional networks through FFTs*, 2013; tiles: Zlateski, Jia, Li and Durand,
*FFT convolutions are faster than Winograd on modern CPUs*, 2018. Frequencies come first in every
array, so that the products need no transposing. Strides are cut out afterwards and dilated filters
filled with zeros, so that both gradients are stride 1 as well.
"""

from functools import lru_cache, partial
from math import prod
from typing import NamedTuple

import numba
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfftn, next_fast_len, rfftn

from convgrad.kernels.convolution.conv2d_geometry import extents, stuff
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel

_SMALLEST_TILE = 16
_TILE_PER_EXTENT = 4
"""Tile over filter: larger tiles recompute less, smaller ones have smaller filter spectra."""
_KEPT_SIZES = 4
"""Sizes of tiles for which a prepared kernel keeps its spectra."""


class _Tiling(NamedTuple):
    """How outputs along both axes are cut into tiles."""

    sides: tuple
    """Sides of the transform."""
    kept: tuple
    """Outputs that are right, at the beginning of each tile: all that did not wrap around."""
    counts: tuple
    """Tiles along each axis."""

    @property
    def covered(self):
        """Sides of the outputs that all tiles together make."""
        return tuple(count * kept for count, kept in zip(self.counts, self.kept))

    @property
    def frequencies(self):
        return self.sides[0] * (self.sides[1] // 2 + 1)


def _tiling(taps, outputs):
    """Cut ``outputs`` of a filter that spans ``taps`` pixels, both (height, width)."""
    sides = tuple(
        next_fast_len(min(n + k - 1, max(_SMALLEST_TILE, _TILE_PER_EXTENT * k)), real=True)
        for k, n in zip(taps, outputs)
    )
    kept = tuple(side - k + 1 for side, k in zip(sides, taps))
    return _Tiling(sides, kept, tuple(-(-n // m) for n, m in zip(outputs, kept)))


def _place(values, size, offset, step):
    """Put values (batch, channels, height, width) into zeros of another size.

    Value i goes to ``offset + i * step`` along both axes; what falls outside is dropped.
    """
    plane = np.zeros((*values.shape[:2], *size), values.dtype)
    source, target = [...], [...]
    for n, room, before in zip(values.shape[2:], size, offset):
        first = max(-(before // step), 0)
        last = min(n, -((before - room) // step))
        source.append(slice(first, last))
        target.append(slice(before + first * step, max(before + last * step, 0), step))
    plane[tuple(target)] = values[tuple(source)]
    return plane


def _cut(values, offset, step, window, tiling, groups):
    """Spread values over a plane as `_place` does, and cut it into tiles.

    Parameters
    ----------
    window : (int, int)
        Pixels of a tile: all that the transform sees, or those that are its own, before zeros.

    Returns
    -------
    ndarray, shape (*tiling.sides, groups, batch * tiles, channels / groups)
    """
    batch, channels = values.shape[:2]
    size = tuple((n - 1) * m + w for n, m, w in zip(tiling.counts, tiling.kept, window))
    plane = _place(values, size, offset, step)
    plane = plane.reshape(batch, groups, channels // groups, *size)
    down, across = tiling.kept
    windows = sliding_window_view(plane, window, axis=(3, 4))[..., ::down, ::across, :, :]
    windows = windows.transpose(5, 6, 1, 0, 3, 4, 2)
    tiles = np.zeros((*tiling.sides, *windows.shape[2:]), values.dtype)
    tiles[: window[0], : window[1]] = windows
    return tiles.reshape(*tiling.sides, groups, -1, channels // groups)


def _forward(values, sides):
    return rfftn(values, sides, axes=(0, 1), workers=numba.get_num_threads())


def _inverse(spectra, sides):
    return irfftn(spectra, sides, axes=(0, 1), overwrite_x=True, workers=numba.get_num_threads())


def _spectra(taps, sides):
    """Conjugate spectra of dense taps (groups, inputs, outputs, height, width)."""
    spectra = _forward(taps.transpose(3, 4, 0, 1, 2), sides)
    return np.conj(spectra, out=spectra)


def _correlate(values, offset, step, taps, outputs, spectra=_spectra):
    """Cross-correlate values, spread over a plane of zeros, with dense taps.

    Parameters
    ----------
    values : ndarray, shape (batch, channels, height, width)
    offset : (int, int)
        Where the first value lies, relative to the first pixel that the first output sees.
    step : int
        Distance of the values in the plane.
    taps : ndarray, shape (groups, inputs, outputs, height, width)
    outputs : (int, int)
        Outputs wanted along both axes.
    spectra : callable
        `_spectra`, or one that has kept them.

    Returns
    -------
    ndarray, shape (batch, channels, *outputs)
        A view of somewhat more.
    """
    batch, groups = len(values), len(taps)
    tiling = _tiling(taps.shape[3:], outputs)
    tiles = _cut(values, offset, step, tiling.sides, tiling, groups)
    seen = _forward(tiles, tiling.sides)
    del tiles
    filters = spectra(taps, tiling.sides)
    # An outer product needs no sum over inputs.
    products = seen * filters if seen.shape[-1] == 1 else seen @ filters
    del seen, filters
    tiles = _inverse(products, tiling.sides)[: tiling.kept[0], : tiling.kept[1]]
    del products
    tiles = tiles.reshape(*tiling.kept, groups, batch, *tiling.counts, -1)
    joined = tiles.transpose(3, 2, 6, 4, 0, 5, 1).reshape(batch, -1, *tiling.covered)
    return joined[..., : outputs[0], : outputs[1]]


def _correlation_bytes(batch, taps_shape, outputs, itemsize):
    """Most bytes that `_correlate` has allocated at a time, without its result.

    The zeros that `scipy.fft` appends to filters are hardly touched, and do not count.
    """
    groups, inputs, channels = taps_shape[:3]
    tiling = _tiling(taps_shape[3:], outputs)
    tiles = batch * groups * prod(tiling.counts)
    pixels, spectrum = prod(tiling.sides), 2 * tiling.frequencies
    filters = groups * inputs * channels
    stages = (
        tiles * inputs * (pixels + spectrum),
        tiles * (inputs + channels) * spectrum + filters * spectrum,
        tiles * channels * (2 * spectrum + pixels),  # irfftn needs a copy of its input.
        tiles * channels * pixels + batch * groups * channels * prod(tiling.covered),
    )
    return max(max(stages) - batch * groups * channels * prod(outputs), 0) * itemsize


def _workspace(images, filters, *, stride, padding, dilation, groups):
    count, per_group, *filter_size = filters.shape
    taps = groups, per_group, count // groups, *extents(filter_size, dilation)
    sides = output_sides(images.shape[2:], filter_size, stride, padding, dilation)
    return _correlation_bytes(len(images), taps, extents(sides, stride), images.itemsize)


def _dense_taps(filters, dilation, groups):
    """Taps (groups, inputs, outputs, height, width), with zeros where they are dilated."""
    count, per_group, *filter_size = filters.shape
    taps = filters.reshape(groups, count // groups, per_group, *filter_size)
    return stuff(taps.swapaxes(1, 2), dilation)


def _reversed_taps(filters, dilation, groups):
    count, per_group, *filter_size = filters.shape
    taps = filters.reshape(groups, count // groups, per_group, *filter_size)
    return stuff(taps[..., ::-1, ::-1], dilation)


def _given(result, out):
    """Put a result into contiguous memory: that which is given, if any is."""
    if out is None:
        return np.ascontiguousarray(result)
    out[...] = result
    return out


def _keeping_spectra(function, taps_of):
    """Make the `prepare` of a kernel: spectra are kept for the last few sizes of tiles."""

    def prepare(filters, *, dilation, groups, **options):
        taps = taps_of(filters, dilation, groups)
        kept = lru_cache(_KEPT_SIZES)(partial(_spectra, taps))
        options |= {"dilation": dilation, "groups": groups}

        def call(values, out=None):
            return function(values, filters, taps, lambda _, sides: kept(sides), out, **options)

        return call

    return prepare


def _layer(images, filters, taps, spectra, out, *, stride, padding, dilation, groups):
    sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    (top, _), (left, _) = padding
    dense = _correlate(images, (top, left), 1, taps, extents(sides, stride), spectra)
    return _given(dense[..., ::stride, ::stride], out)


def _layer_backwards(
    output_gradient, filters, taps, spectra, out, *, image_size, stride, padding, **_
):
    offset = tuple(n - 1 - before for n, (before, _) in zip(taps.shape[3:], padding))
    return _given(_correlate(output_gradient, offset, stride, taps, image_size, spectra), out)


@kernel(
    "conv2d",
    family="fft",
    algorithm="fft",
    workspace=_workspace,
    prepare=_keeping_spectra(_layer, _dense_taps),
)
def fft(images, filters, *, stride, padding, dilation, groups, out=None):
    """Spectra of tiles times spectra of filters, one complex matrix product per frequency.

    About ``2 (tile / kept)**2`` multiplications per output and channel whatever the filter, and
    transforms of O(log tile) per pixel; spectra of the filters take up to 32 times their memory.
    For filters of 5 x 5 and more. Strides save nothing. Prepared, the spectra are kept.
    """
    taps = _dense_taps(filters, dilation, groups)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _layer(images, filters, taps, _spectra, out, **options)


def _input_gradient_workspace(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups
):
    count, per_group, *filter_size = filters.shape
    taps = groups, count // groups, per_group, *extents(filter_size, dilation)
    return _correlation_bytes(len(output_gradient), taps, image_size, filters.itemsize)


@kernel(
    "conv2d_input_gradient",
    family="fft",
    algorithm="fft",
    name="fft",
    workspace=_input_gradient_workspace,
    prepare=_keeping_spectra(_layer_backwards, _reversed_taps),
)
def input_gradient_fft(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """The convolution of ``fft`` with reversed filters, over gradients spread by the stride."""
    taps = _reversed_taps(filters, dilation, groups)
    options = {"image_size": image_size, "stride": stride, "padding": padding}
    return _layer_backwards(output_gradient, filters, taps, _spectra, out, **options)


def _filter_gradient_workspace(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups
):
    batch, count, *sides = output_gradient.shape
    channels = images.shape[1]
    tiling = _tiling(extents(filter_size, dilation), extents(sides, stride))
    tiles = batch * prod(tiling.counts)
    pixels, spectrum = prod(tiling.sides), 2 * tiling.frequencies
    plane = batch * count * prod(tiling.covered)
    products = count * channels // groups * (2 * spectrum + pixels)
    stages = (
        tiles * channels * (pixels + spectrum),
        tiles * (channels * spectrum + count * (pixels + spectrum)) + plane,
        tiles * (channels + count) * spectrum + products,
    )
    return max(stages) * images.itemsize


@kernel(
    "conv2d_filter_gradient",
    family="fft",
    algorithm="fft",
    name="fft",
    workspace=_filter_gradient_workspace,
)
def filter_gradient_fft(images, output_gradient, *, filter_size, stride, padding, dilation, groups):
    """Spectra of image tiles times those of output gradients, summed over images and tiles.

    The sum is part of the matrix products, so that a single inverse transform per filter remains.
    """
    spans = extents(filter_size, dilation)
    tiling = _tiling(spans, extents(output_gradient.shape[2:], stride))
    (top, _), (left, _) = padding
    sides = tiling.sides
    pixels = _forward(_cut(images, (top, left), 1, sides, tiling, groups), sides)
    slopes = _forward(_cut(output_gradient, (0, 0), stride, tiling.kept, tiling, groups), sides)
    np.conj(slopes, out=slopes)
    dense = _inverse(pixels.swapaxes(-1, -2) @ slopes, sides)
    taps = dense[: spans[0] : dilation, : spans[1] : dilation].transpose(2, 4, 3, 0, 1)
    return np.ascontiguousarray(taps.reshape(output_gradient.shape[1], -1, *filter_size))
