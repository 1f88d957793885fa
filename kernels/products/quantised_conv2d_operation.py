"""Convolution of bytes: what it computes, what it accepts, and what it costs."""

import math

import numpy as np

from convgrad.kernels.convolution import reference
from convgrad.kernels.convolution.conv2d_operation import Conv2d
from convgrad.kernels.operation import Arguments, higher_precision
from convgrad.kernels.products.quantised_levels import quantise_weights
from convgrad.kernels.products.quantised_operations import (
    check_terms,
    int8_options,
    quantise_inputs,
    rescaled,
)
from convgrad.kernels.registry import register_operation


@register_operation
class Conv2dInt8(Conv2d):
    """``conv2d`` of images and filters quantised to 8 bits, summed up in integers, exactly.

    Sums are multiplied with the scales of their image and filter (Jacob et al., 2018). Images are
    quantised when they come, one by one, unless their scale is given.
    """

    name = "conv2d_int8"
    sizes = {**Conv2d.sizes, "scale_per": "filter"}

    def bind(self, images, filters, *, scale_per="filter", input_scale=None, **layer):
        """Validate a call.

        Parameters
        ----------
        images : array_like, shape (batch, channels, height, width)
        filters : array_like, shape (filters, channels / groups, filter height, filter width)
        scale_per : {"filter", "tensor"}
            Which weights share a scale.
        input_scale : float, optional
            What one level of the images is worth; pixels beyond 127 of it saturate. Unless
            given, an image's largest magnitude is level 127. An image with a pixel that is not
            finite gives NaN, and so does a filter with such a weight.
        **layer
            stride, padding, dilation, groups as in ``conv2d``.

        Returns
        -------
        Arguments
            (images, filters), {stride, padding, dilation, groups, scale_per, input_scale}; the
            result has the shape of that of ``conv2d``.
        """
        (images, filters), options = super().bind(images, filters, **layer)
        check_terms("filters", math.prod(filters.shape[1:]))
        options |= int8_options(scale_per, "filter", input_scale)
        return Arguments((images, filters), options)

    def traits(self, images, filters, *, scale_per, input_scale, **layer):
        """Those of the layer; groups alone make a kind, since kernels have none for others."""
        _, point = super().traits(images, filters, **layer)
        return ("one group" if layer["groups"] == 1 else "groups"), point

    def definition(self, images, filters, **options):
        return self.reference(images, filters, **options).astype(images.dtype)

    def reference(self, images, filters, **options):
        sums, scales = self.integer_sums(images, filters, **options)
        return sums * scales

    def bound(self, algorithm, images, filters, **options):
        return rescaled(*self.integer_sums(images, filters, **options), images.dtype)

    def integer_sums(self, images, filters, *, scale_per, input_scale, **layer):
        """Exact sums of products of levels, in float64, and their scales in higher precision."""
        levels, scale = quantise_inputs(images, input_scale, (1, 2, 3))
        weights, weight_scales = quantise_filters(filters, scale_per)
        sides = self.output_shape(images, filters, **layer)[2:]
        pair = levels.astype(np.float64), weights.astype(np.float64)
        wide = higher_precision(images.dtype)
        scales = scale.astype(wide) * weight_scales.astype(wide).reshape(-1, 1, 1)
        return reference.conv2d(*pair, output_size=sides, **layer), scales

    def cost(self, *, scale_per, **sizes):
        cost = super().cost(**sizes)
        elements = cost.elements - cost.parameters + sizes["filters"]
        return cost._replace(elements=elements, footprint=elements, kept_bytes=cost.parameters)

    def shapes(self, *, scale_per, **sizes):
        shapes, options = super().shapes(**sizes)
        return shapes, options | {"scale_per": scale_per}


def quantise_filters(filters, scale_per):
    """Levels of filters, and the scale of each."""
    flat = filters.reshape(len(filters), -1)
    levels, scales = quantise_weights(flat, 8, "output" if scale_per == "filter" else scale_per)
    return levels.reshape(filters.shape), scales[:, 0]
