"""What `conv2d` computes, what it accepts, and what it costs."""

import math

import numpy as np

from convgrad.kernels.convolution import bounds, reference
from convgrad.kernels.convolution.conv2d_layer import (
    LayerOperation,
    check_groups,
    layer_fft_bound,
    layer_options,
    layer_shapes,
    minimal_filtering,
    output_sides,
)
from convgrad.kernels.convolution.geometry import pad
from convgrad.kernels.operation import Arguments
from convgrad.kernels.registry import register_operation
from convgrad.kernels.validation import arrays, integer, rank, reject


@register_operation
class Conv2d(LayerOperation):
    """Cross-correlation of NCHW images with OIHW filters, as deep-learning libraries define it."""

    name = "conv2d"
    odd = "images"
    weights = "filters"

    def bind(self, images, filters, *, stride=1, padding="valid", dilation=1, groups=1):
        """Validate a call.

        Parameters
        ----------
        images : array_like, shape (batch, channels, height, width)
        filters : array_like, shape (filters, channels / groups, filter height, filter width)
        stride, dilation : int
            The same along both axes.
        padding : {"same", "valid"}, int, or ((top, bottom), (left, right))
            "same" is TensorFlow's: output ``ceil(n / stride)``, the odd row of zeros goes last.
        groups : int
            Divides channels and filters; ``channels`` of them make the layer depthwise.

        Returns
        -------
        Arguments
            (images, filters), {stride, padding as ((top, bottom), (left, right)), dilation,
            groups}; the result has shape (batch, filters, output height, output width) with
            ``(n + zeros - (k - 1) * dilation - 1) // stride + 1`` outputs a side.
        """
        images, filters = arrays(images=images, filters=filters)
        rank("images", images, 4)
        rank("filters", filters, 4)
        options = layer_options(
            images.shape[2:], filters.shape[2:], stride, padding, dilation, groups
        )
        check_groups(groups, filters)
        if images.shape[1] != filters.shape[1] * groups:
            reject(
                "images",
                f"{images.shape[1]} channels",
                f"{filters.shape[1] * groups}, the filters' {filters.shape[1]} x {groups} groups",
            )
        return Arguments((images, filters), options)

    def partner_shape(self, filters, *, dilation=1, groups=1, **_):
        rank("filters", filters, 4)
        dilation = integer("dilation", dilation, at_least=1)
        groups = integer("groups", groups, at_least=1)
        return (1, filters.shape[1] * groups, *((k - 1) * dilation + 1 for k in filters.shape[2:]))

    def output_shape(self, images, filters, **options):
        sides = output_sides(images.shape[2:], filters.shape[2:], options)
        return (images.shape[0], filters.shape[0], *sides)

    def layer(self, images, filters, **options):
        return images.shape, filters.shape, self.output_shape(images, filters, **options)

    def algorithms(self, images, filters, **options):
        return super().algorithms() + minimal_filtering(filters, **options)

    def definition(self, images, filters, **options):
        sides = output_sides(images.shape[2:], filters.shape[2:], options)
        return reference.conv2d(images, filters, output_size=sides, **options)

    def bound_by(self, algorithm, images, filters, **options):
        if algorithm == "fft":
            size = np.multiply.outer(bounds.norms(images, 1, 2, 3), bounds.norms(filters, 1, 2, 3))
            return layer_fft_bound(size, images.shape[2:], filters.shape[2:], options, images.dtype)
        if algorithm.startswith("winograd-"):
            sides = self.output_shape(images, filters, **options)[2:]
            made = int(algorithm.removeprefix("winograd-"))
            return bounds.winograd(made, pad(images, options["padding"]), filters, sides)
        magnitude = self.magnitude(images, filters, **options)
        return bounds.direct(math.prod(filters.shape[1:]), magnitude, images.dtype)

    def shapes(self, **sizes):
        images, filters, _, options = layer_shapes(**sizes)
        return {"images": images, "filters": filters}, options
