"""What `conv2d` and its two gradients share: sizes and cost of a layer, checks and bounds."""

import math
from abc import abstractmethod
from functools import lru_cache, reduce

import numpy as np

from convgrad.kernels import vector
from convgrad.kernels.convolution import bounds, geometry
from convgrad.kernels.operation import Cost, Operation
from convgrad.kernels.validation import integer, reject

FEW_CHANNELS = 8
"""A first layer's: rows of taps are runs of memory, and most lanes would be empty without them."""


def _vectors(itemsize):
    """Lanes of the vectors, halves and whole ones, that kernels fill with filters."""
    lanes = vector.register_bytes() // itemsize
    return lanes // 2, lanes


def _padding(size, lanes):
    """How many times as many there are where vectors are filled up."""
    return -(-size // lanes) * lanes / size


class LayerOperation(Operation):
    """What the three operations of a convolution layer share: one geometry, one cost."""

    sizes = {
        "batch": 1,
        "channels": None,
        "height": None,
        "width": None,
        "filters": None,
        "filter_height": 3,
        "filter_width": 3,
        "stride": 1,
        "padding": "same",
        "dilation": 1,
        "groups": 1,
    }
    named_cases = {
        "tiny": {"channels": 2, "height": 6, "width": 6, "filters": 3},
        "ResNet-50 first": {
            "channels": 3,
            "height": 224,
            "width": 224,
            "filters": 64,
            "filter_height": 7,
            "filter_width": 7,
            "stride": 2,
        },
        "ResNet-18 stage 1": {"channels": 64, "height": 56, "width": 56, "filters": 64},
        "ResNet-18 stage 2": {"channels": 128, "height": 28, "width": 28, "filters": 128},
        "ResNet-18 stage 3": {"channels": 256, "height": 14, "width": 14, "filters": 256},
        "ResNet-18 stage 4": {"channels": 512, "height": 7, "width": 7, "filters": 512},
        "ResNet-50 pointwise": {
            "channels": 256,
            "height": 56,
            "width": 56,
            "filters": 64,
            "filter_height": 1,
            "filter_width": 1,
        },
        "MobileNet depthwise": {
            "channels": 128,
            "height": 56,
            "width": 56,
            "filters": 128,
            "groups": 128,
        },
    }

    def cost(self, **sizes):
        images, filters, gradient, options = layer_shapes(**sizes)
        # A tap that falls on a zero of the padding is no work: count those that meet a pixel.
        products = math.prod(
            sum(
                0 <= s * options["stride"] + t * options["dilation"] - before < n
                for s in range(out)
                for t in range(k)
            )
            for n, k, out, (before, _) in zip(
                images[2:], filters[2:], gradient[2:], options["padding"]
            )
        )
        flops = 2 * products * images[0] * math.prod(filters[:2])
        elements = math.prod(images) + math.prod(filters) + math.prod(gradient)
        return Cost(math.prod(filters), flops, elements, elements)

    @abstractmethod
    def layer(self, *arrays, **options):
        """Shapes of images, filters and outputs of the layer that a call belongs to."""

    def traits(self, *arrays, stride, dilation, groups, **options):
        """What the layer is; kinds are those that kernels of their own are for."""
        images, filters, outputs = self.layer(
            *arrays, stride=stride, dilation=dilation, groups=groups, **options
        )
        taps = filters[2:]
        dilation = 1 if taps == (1, 1) else dilation
        minimal = stride == dilation == 1 and taps == (3, 3)
        if 1 < groups == images[1]:
            kind = "depthwise"
        elif groups > 1:
            kind = "grouped"
        elif images[1] == 1:
            kind = "one channel"
        elif images[1] <= FEW_CHANNELS:
            kind = "few channels, 3 x 3" if minimal else "few channels"
        elif minimal:
            kind = "3 x 3"
        elif taps == (1, 1):
            kind = "1 x 1" if stride == 1 else "1 x 1, strided"
        else:
            kind = "other"
        sizes = [images[0], *filters[:2], math.prod(outputs[2:]), groups]
        sizes += [math.prod(taps), stride, dilation]
        sizes += [_padding(filters[0], lanes) for lanes in _vectors(arrays[0].itemsize)]
        return kind, tuple(map(math.log2, sizes))

    def algorithms(self, *arrays, **options):
        """Algorithms that serve a call."""
        return ["direct", "fft"]

    @abstractmethod
    def bound_by(self, algorithm, *arrays, **options):
        """`bound` of one algorithm."""

    def bound(self, algorithm, *arrays, **options):
        """As `Operation.bound`; "any" is the loosest of those that serve."""
        served = self.algorithms(*arrays, **options) if algorithm == "any" else [algorithm]
        return reduce(np.maximum, (self.bound_by(name, *arrays, **options) for name in served))


def minimal_filtering(filters, *, stride, dilation, groups, **_):
    """Algorithms of minimal filtering (Winograd) that serve a layer."""
    serves = filters.shape[2:] == (3, 3) and stride == dilation == groups == 1
    return ["winograd-2", "winograd-4"] if serves else []


def layer_shapes(
    *,
    batch,
    channels,
    height,
    width,
    filters,
    filter_height,
    filter_width,
    stride,
    padding,
    dilation,
    groups,
):
    """Shapes of images, filters and output gradient of a layer, and its options."""
    size, filter_size = (height, width), (filter_height, filter_width)
    options = layer_options(size, filter_size, stride, padding, dilation, groups)
    return (
        (batch, channels, *size),
        (filters, channels // groups, *filter_size),
        (batch, filters, *output_sides(size, filter_size, options)),
        options,
    )


def layer_options(image_size, filter_size, stride, padding, dilation, groups):
    """Options of a layer, checked, with its padding as ((top, bottom), (left, right))."""
    own = image_size, filter_size, stride, padding, dilation, groups
    if type(padding) in (str, int) and type(stride) is type(dilation) is type(groups) is int:
        return dict(_known_options(*own))  # in some microseconds less, a third of a small layer
    return _checked_options(*own)


def _checked_options(image_size, filter_size, stride, padding, dilation, groups):
    stride = integer("stride", stride, at_least=1)
    dilation = integer("dilation", dilation, at_least=1)
    groups = integer("groups", groups, at_least=1)
    padding = geometry.resolve_padding(padding, image_size, filter_size, stride, dilation)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    sides = output_sides(image_size, filter_size, options)
    if min(sides) < 1:
        (top, bottom), (left, right) = padding
        extent = tuple((k - 1) * dilation + 1 for k in filter_size)
        padded = (image_size[0] + top + bottom, image_size[1] + left + right)
        reject("filter size", f"{extent} with dilation", f"at most {padded}, the padded image")
    return options


_known_options = lru_cache(256)(_checked_options)


def output_sides(image_size, filter_size, options):
    """`geometry.output_sides` by the options of a layer."""
    return geometry.output_sides(
        image_size, filter_size, options["stride"], options["padding"], options["dilation"]
    )


def pair(argument, value):
    """Take a size (height, width), or the same for both."""
    sides = value if isinstance(value, (tuple, list)) else (value, value)
    if len(sides) != 2:
        reject(argument, value, "an integer or a pair (height, width)")
    return tuple(integer(argument, side, at_least=1) for side in sides)


def check_groups(groups, filters):
    """Reject groups among which the filters cannot be dealt out."""
    if filters.shape[0] % groups:
        reject("groups", groups, f"a divisor of the number of filters, {filters.shape[0]}")


def check_gradient(output_gradient, batch, sides):
    """Reject a gradient that has not the shape of the outputs."""
    expected = (batch, output_gradient.shape[1], *sides)
    if output_gradient.shape != expected:
        reject("output_gradient", f"shape {output_gradient.shape}", f"shape {expected}")


def layer_fft_bound(size, image_size, filter_size, options, dtype):
    """`bounds.fft` for each pair of the first two axes of the result."""
    points = math.prod(
        n + sum(zeros) + options["dilation"] * f + options["stride"] * f
        for n, f, zeros in zip(image_size, filter_size, options["padding"])
    )
    return bounds.fft(points, size[..., np.newaxis, np.newaxis], dtype)
