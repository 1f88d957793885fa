"""Input gradient of `conv2d` by the loops of ``conv2d_blocked``."""

import numpy as np

from convgrad.kernels.convolution.conv2d_blocked import correlate, serves, sums_bytes
from convgrad.kernels.convolution.conv2d_blocked_layout import laid_out_elements, lay_out
from convgrad.kernels.convolution.conv2d_blocked_weights import given, pack, packed_elements
from convgrad.kernels.convolution.conv2d_numba import backward_layout, reached_pixels
from convgrad.kernels.registry import kernel


def _gradient_workspace(output_gradient, filters, *, image_size, stride, **_):
    """Gradients laid out, packed weights, and sums of the pixels that lie a stride apart."""
    weights = packed_elements(filters.shape[1], filters.size // filters.shape[1], filters.dtype)
    sums = sums_bytes(
        len(output_gradient), [-(-side // stride) for side in image_size], filters.dtype
    )
    return (laid_out_elements(output_gradient) + weights) * filters.itemsize + sums


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
        own = [
            axis._replace(shifts=tuple(shift - zeros for shift in axis.shifts))
            for axis, zeros in zip(pair, layout.before)
        ]
        correlate(pixels, sides, len(filters), weights, tuple(own), (1, stride), out)
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
