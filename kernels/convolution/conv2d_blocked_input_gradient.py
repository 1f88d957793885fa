"""Input gradient of `conv2d` by the loops of ``conv2d_blocked``."""

from functools import lru_cache

import numpy as np

from convgrad.kernels.convolution.conv2d_blocked import correlate, serves
from convgrad.kernels.convolution.conv2d_blocked_layout import laid_out_elements, lay_out
from convgrad.kernels.convolution.conv2d_blocked_plan import correlate_bytes
from convgrad.kernels.convolution.conv2d_blocked_weights import given, pack
from convgrad.kernels.convolution.conv2d_numba import backward_layout
from convgrad.kernels.convolution.conv2d_numba_planes import PLANS
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel


@lru_cache(PLANS)
def _geometry(filter_size, image_size, stride, padding, dilation):
    """Axes with shifts from the first pixel, not from the zeros before it; taps in their order."""
    sides = output_sides(image_size, filter_size, stride, padding, dilation)
    *both, layout = backward_layout(sides, filter_size, image_size, stride, padding, dilation)
    axes = tuple(
        tuple(axis._replace(shifts=tuple(shift - zeros for shift in axis.shifts)) for axis in along)
        for along, zeros in zip(both, layout.before)
    )
    rows, columns = ([tap for axis in along for tap in axis.taps] for along in axes)
    return axes, np.add.outer(np.multiply(rows, filter_size[1]), columns).ravel()


def _workspace(output_gradient, filters, *, image_size, stride, padding, dilation, **_):
    """Gradients laid out, packed weights, and sums."""
    axes, _ = _geometry(filters.shape[2:], image_size, stride, padding, dilation)
    shape = len(output_gradient), filters.shape[1], *image_size
    layer = len(filters), shape, filters.dtype
    laid_out = laid_out_elements(output_gradient) * filters.itemsize
    return laid_out + correlate_bytes(axes, (1, stride), output_gradient.shape[2:], *layer)


def _run(output_gradient, filters, *, image_size, stride, padding, dilation, groups, out, weights):
    axes, taps = _geometry(filters.shape[2:], image_size, stride, padding, dilation)
    if out is None:
        out = np.empty((len(output_gradient), filters.shape[1], *image_size), filters.dtype)
    weights, size = weights or given(filters, taps), output_gradient.shape[2:]
    correlate(lay_out(output_gradient), size, len(filters), weights, axes, (1, stride), out)
    return out


def _keep(filters, *, groups, **options):
    _, taps = _geometry(filters.shape[2:], **options)
    weights, options = pack(given(filters, taps)), options | {"groups": groups}
    return lambda gradient, out=None: _run(gradient, filters, out=out, weights=weights, **options)


@kernel(
    "conv2d_input_gradient",
    family="numba",
    name="numba_blocked",
    serves=serves,
    workspace=_workspace,
    prepare=_keep,
)
def input_gradient_blocked(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """The loops of ``numba_blocked`` over output gradients.

    As many flops as the definition: pixels that lie a stride apart are reached by the same taps,
    and are the outputs of a convolution of these alone. All such convolutions together set some
    rows of pixels, which are written whole.
    """
    options = {"image_size": image_size, "stride": stride, "padding": padding}
    options |= {"dilation": dilation, "groups": groups}
    return _run(output_gradient, filters, out=out, weights=None, **options)
