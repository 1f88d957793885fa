"""What the gradients of `conv2d` compute, what they accept, and what they cost."""

import numpy as np

from convgrad.kernels.convolution import bounds, reference
from convgrad.kernels.convolution.conv2d_layer import (
    LayerOperation,
    check_gradient,
    check_groups,
    layer_fft_bound,
    layer_options,
    layer_shapes,
    minimal_filtering,
    output_sides,
    pair,
)
from convgrad.kernels.convolution.geometry import pad
from convgrad.kernels.operation import Arguments
from convgrad.kernels.registry import register_operation
from convgrad.kernels.validation import arrays, rank, reject


@register_operation
class Conv2dFilterGradient(LayerOperation):
    """Gradient of ``sum(output_gradient * conv2d(images, filters))`` with respect to filters."""

    name = "conv2d_filter_gradient"
    odd = "images"

    def bind(
        self,
        images,
        output_gradient,
        *,
        filter_size,
        stride=1,
        padding="valid",
        dilation=1,
        groups=1,
    ):
        """Validate a call.

        Parameters
        ----------
        images : array_like, shape (batch, channels, height, width)
        output_gradient : array_like, shape (batch, filters, output height, output width)
        filter_size : int or (int, int)
            (filter height, filter width).
        stride, padding, dilation, groups
            As in ``conv2d``.

        Returns
        -------
        Arguments
            (images, output_gradient), {filter_size as (height, width), stride, padding as
            ((top, bottom), (left, right)), dilation, groups}; the result has shape
            (filters, channels / groups, filter height, filter width).
        """
        images, output_gradient = arrays(images=images, output_gradient=output_gradient)
        rank("images", images, 4)
        rank("output_gradient", output_gradient, 4)
        filter_size = pair("filter_size", filter_size)
        options = layer_options(images.shape[2:], filter_size, stride, padding, dilation, groups)
        batch, channels = images.shape[:2]
        filters = output_gradient.shape[1]
        if channels % groups:
            reject("groups", groups, f"a divisor of the images' {channels} channels")
        if filters % groups:
            reject("groups", groups, f"a divisor of the output gradient's {filters} channels")
        check_gradient(output_gradient, batch, output_sides(images.shape[2:], filter_size, options))
        return Arguments((images, output_gradient), {"filter_size": filter_size, **options})

    def output_shape(self, images, output_gradient, *, filter_size, groups, **_):
        return (output_gradient.shape[1], images.shape[1] // groups, *filter_size)

    def layer(self, images, output_gradient, **options):
        filters = self.output_shape(images, output_gradient, **options)
        return images.shape, filters, output_gradient.shape

    def definition(self, images, output_gradient, **options):
        return reference.conv2d_filter_gradient(images, output_gradient, **options)

    def bound_by(self, algorithm, images, output_gradient, **options):
        if algorithm == "fft":
            channels = bounds.norms(images, 0, 2, 3).reshape(options["groups"], 1, -1)
            outputs = bounds.norms(output_gradient, 0, 2, 3).reshape(options["groups"], -1, 1)
            size = (outputs * channels).reshape(output_gradient.shape[1], -1)
            return layer_fft_bound(
                size, images.shape[2:], output_gradient.shape[2:], options, images.dtype
            )
        magnitude = self.magnitude(images, output_gradient, **options)
        terms = output_gradient.size // output_gradient.shape[1]
        return bounds.direct(terms, magnitude, images.dtype)

    def shapes(self, **sizes):
        images, filters, gradient, options = layer_shapes(**sizes)
        options["filter_size"] = filters[2:]
        return {"images": images, "output_gradient": gradient}, options


@register_operation
class Conv2dInputGradient(LayerOperation):
    """Gradient of ``sum(output_gradient * conv2d(images, filters))`` with respect to images."""

    name = "conv2d_input_gradient"
    odd = "output_gradient"
    weights = "filters"

    def bind(
        self,
        output_gradient,
        filters,
        *,
        image_size,
        stride=1,
        padding="valid",
        dilation=1,
        groups=1,
    ):
        """Validate a call.

        Parameters
        ----------
        output_gradient : array_like, shape (batch, filters, output height, output width)
        filters : array_like, shape (filters, channels / groups, filter height, filter width)
        image_size : int or (int, int)
            (height, width) of the images, which strides leave open.
        stride, padding, dilation, groups
            As in ``conv2d``.

        Returns
        -------
        Arguments
            (output_gradient, filters), {image_size as (height, width), stride, padding as
            ((top, bottom), (left, right)), dilation, groups}; the result has shape
            (batch, channels, height, width).
        """
        output_gradient, filters = arrays(output_gradient=output_gradient, filters=filters)
        rank("output_gradient", output_gradient, 4)
        rank("filters", filters, 4)
        image_size = pair("image_size", image_size)
        options = layer_options(image_size, filters.shape[2:], stride, padding, dilation, groups)
        check_groups(groups, filters)
        if output_gradient.shape[1] != filters.shape[0]:
            reject(
                "output_gradient",
                f"{output_gradient.shape[1]} channels",
                f"{filters.shape[0]}, one for each filter",
            )
        sides = output_sides(image_size, filters.shape[2:], options)
        check_gradient(output_gradient, output_gradient.shape[0], sides)
        return Arguments((output_gradient, filters), {"image_size": image_size, **options})

    def partner_shape(
        self, filters, *, image_size, stride=1, padding="valid", dilation=1, groups=1
    ):
        rank("filters", filters, 4)
        image_size = pair("image_size", image_size)
        options = layer_options(image_size, filters.shape[2:], stride, padding, dilation, groups)
        return (1, filters.shape[0], *output_sides(image_size, filters.shape[2:], options))

    def output_shape(self, output_gradient, filters, *, image_size, groups, **_):
        return (output_gradient.shape[0], filters.shape[1] * groups, *image_size)

    def layer(self, output_gradient, filters, **options):
        images = self.output_shape(output_gradient, filters, **options)
        return images, filters.shape, output_gradient.shape

    def algorithms(self, output_gradient, filters, *, padding, **options):
        within = max(map(max, padding)) < filters.shape[2]
        return super().algorithms() + (minimal_filtering(filters, **options) if within else [])

    def definition(self, output_gradient, filters, **options):
        return reference.conv2d_input_gradient(output_gradient, filters, **options)

    def bound_by(self, algorithm, output_gradient, filters, **options):
        if algorithm == "fft":
            per_group = filters.reshape(options["groups"], -1, *filters.shape[1:])
            size = np.multiply.outer(
                bounds.norms(output_gradient, 1, 2, 3), bounds.norms(per_group, 1, 3, 4).ravel()
            )
            return layer_fft_bound(
                size, options["image_size"], filters.shape[2:], options, filters.dtype
            )
        if algorithm.startswith("winograd-"):
            made, taps = int(algorithm.removeprefix("winograd-")), filters.shape[2]
            margins = [[taps - 1 - zeros for zeros in ends] for ends in options["padding"]]
            turned = filters.swapaxes(0, 1)[..., ::-1, ::-1]
            return bounds.winograd(
                made, pad(output_gradient, margins), turned, options["image_size"]
            )
        magnitude = self.magnitude(output_gradient, filters, **options)
        terms = filters.size // filters.shape[1] // options["groups"]
        return bounds.direct(terms, magnitude, filters.dtype)

    def shapes(self, **sizes):
        images, filters, gradient, options = layer_shapes(**sizes)
        options["image_size"] = images[2:]
        return {"output_gradient": gradient, "filters": filters}, options
