"""Input gradient of `conv2d` by the loops of ``conv2d_blocked``."""

from itertools import product

import numpy as np

from convgrad.kernels.convolution.conv2d_blocked import correlate, serves
from convgrad.kernels.convolution.conv2d_blocked_layout import laid_out_elements, lay_out
from convgrad.kernels.convolution.conv2d_blocked_plan import correlate_bytes
from convgrad.kernels.convolution.conv2d_blocked_weights import given, pack
from convgrad.kernels.convolution.conv2d_numba import backward_layout, reached_pixels
from convgrad.kernels.registry import kernel


def _gradient_workspace(output_gradient, filters, *, image_size, stride, padding, dilation, **_):
    """Gradients laid out, and what the most of the pixels that lie a stride apart take."""
    sides, filter_size = output_gradient.shape[2:], filters.shape[2:]
    *axes, layout = backward_layout(sides, filter_size, image_size, stride, padding, dilation)
    layer = len(filters), (len(output_gradient), filters.shape[1]), filters.dtype
    pairs = [pair for pair in product(*axes) if all(axis.taps for axis in pair)]
    each = (correlate_bytes(_from_first(pair, layout), 1, sides, *layer) for pair in pairs)
    return laid_out_elements(output_gradient) * filters.itemsize + max(each, default=0)


def _from_first(pair, layout):
    """Axes with shifts from the first pixel, not from the first of the zeros before it."""
    return tuple(
        axis._replace(shifts=tuple(shift - zeros for shift in axis.shifts))
        for axis, zeros in zip(pair, layout.before)
    )


def _turned(filters, rows, columns):
    """Filters with those taps that reach some pixels, and with channels and filters exchanged."""
    taps = np.add.outer(np.multiply(rows.taps, filters.shape[3]), columns.taps)
    return given(filters, taps.ravel())


def _run_back(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out, turned
):
    sides, filter_size = output_gradient.shape[2:], filters.shape[2:]
    *axes, layout = backward_layout(sides, filter_size, image_size, stride, padding, dilation)
    shape = len(output_gradient), filters.shape[1], *image_size
    pairs, out = reached_pixels(axes, shape, filters.dtype, out)
    pixels = lay_out(output_gradient)
    for number, pair in enumerate(pairs):
        weights = turned(number, *pair)
        own = _from_first(pair, layout)
        correlate(pixels, sides, len(filters), weights, own, (1, stride), out)
    return out


def _keep_turned(filters, **options):
    kept = {}

    def turned(number, rows, columns):
        if number not in kept:
            kept[number] = pack(_turned(filters, rows, columns))
        return kept[number]

    return lambda gradient, out=None: _run_back(
        gradient, filters, out=out, turned=turned, **options
    )


@kernel(
    "conv2d_input_gradient",
    family="numba",
    name="numba_blocked",
    serves=serves,
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
        turned=lambda _, rows, columns: _turned(filters, rows, columns),
        **options,
    )
