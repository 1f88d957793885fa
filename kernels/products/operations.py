"""What the products compute, what they accept, and what they cost."""

import math

import numpy as np

from convgrad.kernels.convolution.bounds import direct
from convgrad.kernels.convolution.geometry import output_sides, pad, patch, resolve_padding
from convgrad.kernels.operation import Arguments, Cost, Operation
from convgrad.kernels.registry import register_operation
from convgrad.kernels.validation import arrays, integer, rank, reject


@register_operation
class Dense(Operation):
    """Every output sees every feature: ``y = x W^T``, as deep-learning libraries define it."""

    name = "dense"
    odd = "inputs"
    weights = "weights"
    sizes = {"batch": 1, "features": None, "outputs": None}
    named_cases = {
        "tiny": {"batch": 2, "features": 7, "outputs": 5},
        "digits, softmax": {"batch": 64, "features": 784, "outputs": 10},
        "VGG-16 last but one": {"features": 4096, "outputs": 4096},
    }

    def bind(self, inputs, weights):
        """Validate a call.

        Parameters
        ----------
        inputs : array_like, shape (batch, features)
        weights : array_like, shape (outputs, features)

        Returns
        -------
        Arguments
            (inputs, weights), {}; the result has shape (batch, outputs).
        """
        inputs, weights = arrays(inputs=inputs, weights=weights)
        rank("inputs", inputs, 2)
        rank("weights", weights, 2)
        if inputs.shape[1] != weights.shape[1]:
            reject(
                "inputs",
                f"{inputs.shape[1]} features",
                f"{weights.shape[1]}, as many as the weights have",
            )
        return Arguments((inputs, weights), {})

    def partner_shape(self, weights, **_):
        rank("weights", weights, 2)
        return 1, weights.shape[1]

    def output_shape(self, inputs, weights, **_):
        return len(inputs), len(weights)

    def traits(self, inputs, weights, **_):
        """Inputs, features and outputs."""
        return "2-D", tuple(map(math.log2, (*inputs.shape, len(weights))))

    def definition(self, inputs, weights):
        return inputs @ weights.T

    def bound(self, algorithm, inputs, weights):
        return direct(inputs.shape[1], self.magnitude(inputs, weights), inputs.dtype)

    def cost(self, *, batch, features, outputs):
        elements = batch * features + outputs * features + batch * outputs
        return Cost(outputs * features, 2 * batch * features * outputs, elements, elements)

    def shapes(self, *, batch, features, outputs, **options):
        return {"inputs": (batch, features), "weights": (outputs, features)}, options


class _Local(Operation):
    """What the operations of a locally connected layer share: one geometry, one cost.

    It is a convolution of stride 1 whose filters are not shared: every output has its own.
    """

    sizes = {
        "batch": 1,
        "channels": None,
        "height": None,
        "width": None,
        "filters": None,
        "filter_height": 3,
        "filter_width": 3,
        "padding": "same",
    }
    named_cases = {
        "tiny": {"channels": 2, "height": 5, "width": 6, "filters": 3},
        "digits, first": {"batch": 64, "channels": 1, "height": 28, "width": 28, "filters": 16},
        "one image": {"channels": 32, "height": 14, "width": 14, "filters": 32},
    }

    def bound(self, algorithm, *arrays, **options):
        magnitude = self.magnitude(*arrays, **options)
        return direct(self.terms(*arrays, **options), magnitude, arrays[0].dtype)

    def filters_shape(self, array, filters, **_):
        """Shape of the filters of the layer that a call belongs to."""
        return filters.shape

    def traits(self, *arrays, **options):
        """Images, channels, filters, outputs of a filter and taps."""
        height, width, count, channels, *taps = self.filters_shape(*arrays, **options)
        sizes = len(arrays[0]), channels, count, height * width, math.prod(taps)
        return "4-D", tuple(map(math.log2, sizes))

    def cost(self, **sizes):
        images, filters, gradient, padding = _local_shapes(**sizes)
        # A tap that falls on a zero of the padding is no work: count those that meet a pixel.
        products = math.prod(
            sum(0 <= s + t - before < n for s in range(out) for t in range(k))
            for n, k, out, (before, _) in zip(images[2:], filters[4:], gradient[2:], padding)
        )
        flops = 2 * products * images[0] * filters[2] * filters[3]
        elements = math.prod(images) + math.prod(filters) + math.prod(gradient)
        return Cost(math.prod(filters), flops, elements, elements)


@register_operation
class LocallyConnected(_Local):
    """Cross-correlation of NCHW images with filters of their own for every output."""

    name = "locally_connected"
    odd = "images"

    def bind(self, images, filters, *, padding="valid"):
        """Validate a call.

        Parameters
        ----------
        images : array_like, shape (batch, channels, height, width)
        filters : array_like, shape (output height, output width, filters, channels, \
filter height, filter width)
        padding : {"same", "valid"}, int, or ((top, bottom), (left, right))
            As in ``conv2d``.

        Returns
        -------
        Arguments
            (images, filters), {padding as ((top, bottom), (left, right))}; the result has shape
            (batch, filters, output height, output width).
        """
        images, filters = arrays(images=images, filters=filters)
        rank("images", images, 4)
        rank("filters", filters, 6)
        padding, sides = _resolve(padding, images.shape[2:], filters.shape[4:])
        if images.shape[1] != filters.shape[3]:
            reject("images", f"{images.shape[1]} channels", f"{filters.shape[3]}, the filters'")
        _check_outputs(filters, sides)
        return Arguments((images, filters), {"padding": padding})

    def output_shape(self, images, filters, **_):
        return (len(images), filters.shape[2], *filters.shape[:2])

    def terms(self, images, filters, **_):
        return math.prod(filters.shape[3:])

    def definition(self, images, filters, *, padding):
        return sum(
            np.einsum("bcyx,yxfc->bfyx", pixels, filters[(..., *tap)])
            for tap, pixels in _taps(images, filters.shape[:2], filters.shape[4:], padding)
        )

    def shapes(self, **sizes):
        images, filters, _, padding = _local_shapes(**sizes)
        return {"images": images, "filters": filters}, {"padding": padding}


@register_operation
class LocallyConnectedFilterGradient(_Local):
    """Gradient of ``sum(output_gradient * locally_connected(...))`` with respect to filters."""

    name = "locally_connected_filter_gradient"
    odd = "images"

    def bind(self, images, output_gradient, *, filter_size, padding="valid"):
        """Validate a call.

        Parameters
        ----------
        images : array_like, shape (batch, channels, height, width)
        output_gradient : array_like, shape (batch, filters, output height, output width)
        filter_size : (int, int)
            (filter height, filter width).
        padding
            As in ``conv2d``.

        Returns
        -------
        Arguments
            (images, output_gradient), {filter_size, padding as ((top, bottom), (left, right))};
            the result has shape (output height, output width, filters, channels, filter height,
            filter width).
        """
        images, output_gradient = arrays(images=images, output_gradient=output_gradient)
        rank("images", images, 4)
        rank("output_gradient", output_gradient, 4)
        filter_size = _pair("filter_size", filter_size)
        padding, sides = _resolve(padding, images.shape[2:], filter_size)
        _check_gradient(output_gradient, (len(images), output_gradient.shape[1], *sides))
        options = {"filter_size": filter_size, "padding": padding}
        return Arguments((images, output_gradient), options)

    def output_shape(self, images, output_gradient, *, filter_size, **_):
        count, *sides = output_gradient.shape[1:]
        return (*sides, count, images.shape[1], *filter_size)

    filters_shape = output_shape

    def terms(self, images, output_gradient, **_):
        return len(images)

    def definition(self, images, output_gradient, *, filter_size, padding):
        shape = self.output_shape(images, output_gradient, filter_size=filter_size)
        result = np.empty(shape, images.dtype)
        for tap, pixels in _taps(images, shape[:2], filter_size, padding):
            result[(..., *tap)] = np.einsum("bcyx,bfyx->yxfc", pixels, output_gradient)
        return result

    def shapes(self, **sizes):
        images, filters, gradient, padding = _local_shapes(**sizes)
        options = {"filter_size": filters[4:], "padding": padding}
        return {"images": images, "output_gradient": gradient}, options


@register_operation
class LocallyConnectedInputGradient(_Local):
    """Gradient of ``sum(output_gradient * locally_connected(...))`` with respect to images."""

    name = "locally_connected_input_gradient"
    odd = "output_gradient"

    def bind(self, output_gradient, filters, *, image_size, padding="valid"):
        """Validate a call.

        Parameters
        ----------
        output_gradient : array_like, shape (batch, filters, output height, output width)
        filters : array_like, shape (output height, output width, filters, channels, \
filter height, filter width)
        image_size : (int, int)
            (height, width) of the images.
        padding
            As in ``conv2d``.

        Returns
        -------
        Arguments
            (output_gradient, filters), {image_size, padding as ((top, bottom), (left, right))};
            the result has shape (batch, channels, height, width).
        """
        output_gradient, filters = arrays(output_gradient=output_gradient, filters=filters)
        rank("output_gradient", output_gradient, 4)
        rank("filters", filters, 6)
        image_size = _pair("image_size", image_size)
        padding, sides = _resolve(padding, image_size, filters.shape[4:])
        _check_outputs(filters, sides)
        _check_gradient(output_gradient, (len(output_gradient), filters.shape[2], *sides))
        options = {"image_size": image_size, "padding": padding}
        return Arguments((output_gradient, filters), options)

    def output_shape(self, output_gradient, filters, *, image_size, **_):
        return (len(output_gradient), filters.shape[3], *image_size)

    def terms(self, output_gradient, filters, **_):
        return filters.size // math.prod(filters.shape[:2]) // filters.shape[3]

    def definition(self, output_gradient, filters, *, image_size, padding):
        shape = self.output_shape(output_gradient, filters, image_size=image_size)
        padded = pad(np.zeros(shape, filters.dtype), padding)
        for tap in np.ndindex(*filters.shape[4:]):
            pixels = patch(padded, tap, filters.shape[:2], stride=1, dilation=1)
            pixels += np.einsum("bfyx,yxfc->bcyx", output_gradient, filters[(..., *tap)])
        (top, _), (left, _) = padding
        return padded[..., top : top + image_size[0], left : left + image_size[1]]

    def shapes(self, **sizes):
        images, filters, gradient, padding = _local_shapes(**sizes)
        options = {"image_size": images[2:], "padding": padding}
        return {"output_gradient": gradient, "filters": filters}, options


def _local_shapes(*, batch, channels, height, width, filters, filter_height, filter_width, padding):
    """Shapes of images, filters and output gradient, and the zeros around images."""
    size, filter_size = (height, width), (filter_height, filter_width)
    padding, sides = _resolve(padding, size, filter_size)
    return (
        (batch, channels, *size),
        (*sides, filters, channels, *filter_size),
        (batch, filters, *sides),
        padding,
    )


def _resolve(padding, image_size, filter_size):
    """Zeros of any accepted padding, and (height, width) of the outputs."""
    padding = resolve_padding(padding, image_size, filter_size, stride=1, dilation=1)
    sides = output_sides(image_size, filter_size, 1, padding, 1)
    if min(sides) < 1:
        padded = tuple(n + sum(zeros) for n, zeros in zip(image_size, padding))
        reject("filter size", tuple(filter_size), f"at most {padded}, the padded image")
    return padding, sides


def _pair(argument, value):
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        reject(argument, value, "a pair (height, width)")
    return tuple(integer(argument, side, at_least=1) for side in value)


def _check_outputs(filters, sides):
    if filters.shape[:2] != sides:
        reject("filters", f"shape {filters.shape}", f"outputs {sides} as the first two sides")


def _check_gradient(output_gradient, expected):
    if output_gradient.shape != expected:
        reject("output_gradient", f"shape {output_gradient.shape}", f"shape {expected}")


def _taps(images, sides, filter_size, padding):
    """Every tap with the pixels that it multiplies, over all outputs."""
    padded = pad(images, padding)
    for tap in np.ndindex(*filter_size):
        yield tap, patch(padded, tap, sides, stride=1, dilation=1)
