"""What the convolutions compute, what they accept, and what they cost."""

import math
from abc import abstractmethod
from functools import reduce

import numpy as np

from convgrad.kernels.convolution import bounds, reference
from convgrad.kernels.convolution.geometry import (
    MODES,
    convolve_window,
    output_sides,
    pad,
    resolve_padding,
    window_shape,
)
from convgrad.kernels.operation import Arguments, Cost, Operation
from convgrad.kernels.registry import register_operation
from convgrad.kernels.validation import arrays, choice, integer, rank, reject

FEW_CHANNELS = 8
"""A first layer's: rows of taps are runs of memory, and most lanes would be empty without them."""
_MINIMAL = ["winograd-2", "winograd-4"]


@register_operation
class Convolve(Operation):
    """True N-D convolution, ``y(s) = sum_t x(s - t) k(t)``, N = 1, 2, 3."""

    name = "convolve"
    odd = "signal"
    weights = "taps"
    sizes = {"signal": None, "taps": None, "mode": "full", "rank": "any"}
    """``rank`` is that of the taps: "any", or 1 for products of a factor for each axis."""
    named_cases = {
        "tiny": {"signal": (200,), "taps": (5,)},
        "audio second, room echo": {"signal": (48_000,), "taps": (4_800,)},
        "photograph, blur": {"signal": (427, 640), "taps": (9, 9)},
        "volume, smoothing": {"signal": (64, 64, 64), "taps": (3, 3, 3)},
    }

    def bind(self, signal, taps, *, mode="full"):
        """Validate a call.

        Parameters
        ----------
        signal, taps : array_like, 1-D, 2-D or 3-D, of equal rank
        mode : {"full", "same", "valid"}
            As `scipy.signal.convolve` defines them: sides ``n + k - 1``; sides ``n`` about the
            centre of the full result; only outputs that see no border. For "valid" one operand
            has to be at least as long as the other along every axis; kernels get the longer one
            as ``signal``.

        Returns
        -------
        Arguments
            (signal, taps), {mode}
        """
        signal, taps = arrays(signal=signal, taps=taps)
        rank("signal", signal, 1, 2, 3)
        rank("taps", taps, signal.ndim)
        choice("mode", mode, MODES)
        if mode == "valid":
            longer = [n >= k for n, k in zip(signal.shape, taps.shape)]
            if not all(longer):
                if any(n > k for n, k in zip(signal.shape, taps.shape)):
                    reject(
                        "taps",
                        f"shape {taps.shape}",
                        f"no longer (or no shorter) than the signal {signal.shape} along every "
                        "axis in mode 'valid'",
                    )
                signal, taps = taps, signal
        return Arguments((signal, taps), {"mode": mode})

    def partner_shape(self, taps, **_):
        rank("taps", taps, 1, 2, 3)
        return taps.shape

    def output_shape(self, signal, taps, *, mode):
        return window_shape(convolve_window(signal.shape, taps.shape, mode))

    def definition(self, signal, taps, *, mode):
        return reference.convolve(signal, taps, mode=mode)

    def bound(self, algorithm, signal, taps, *, mode):
        if algorithm == "fft":
            points = math.prod(n + k - 1 for n, k in zip(signal.shape, taps.shape))
            size = _norms(signal) * _norms(taps)
            return bounds.fft(points, size, signal.dtype)
        magnitude = self.magnitude(signal, taps, mode=mode)
        terms = math.prod(map(min, signal.shape, taps.shape))
        bound = bounds.direct(terms, magnitude, signal.dtype)
        if algorithm == "separable":
            bound = bound + bounds.underflow(terms, signal, taps)
        return bound

    def traits(self, signal, taps, *, mode):
        """Outputs and taps, whichever operand is the filter; and in images, the borders."""
        outputs = self.output_shape(signal, taps, mode=mode)
        shorter = min(signal, taps, key=lambda array: array.size)
        sizes = [math.prod(outputs), shorter.size]
        if signal.ndim > 1:
            sizes.append(4 ** MODES.index(mode))  # libraries of image filters pad for "full"
        return f"{signal.ndim}-D", tuple(map(math.log2, sizes))

    def cost(self, *, signal, taps, mode, rank="any"):
        window = convolve_window(signal, taps, mode)
        products = math.prod(
            _products_before(part.stop, n, k) - _products_before(part.start, n, k)
            for n, k, part in zip(signal, taps, window)
        )
        elements = math.prod(signal) + math.prod(taps) + math.prod(window_shape(window))
        return Cost(math.prod(taps), 2 * products, elements, elements)

    def shapes(self, *, signal, taps, mode, rank="any"):
        if rank not in ("any", 1):
            reject("rank", repr(rank), "'any' or 1")
        return {"signal": signal, "taps": taps}, {"mode": mode}

    def random_arrays(self, generator, shapes, *, rank="any", **_):
        if rank == "any":
            return super().random_arrays(generator, shapes)
        factors = map(generator.standard_normal, shapes["taps"])
        return generator.standard_normal(shapes["signal"]), reduce(np.multiply.outer, factors)


class _Layer(Operation):
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
        images, filters, gradient, options = _layer_shapes(**sizes)
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
        if 1 < groups == images[1]:
            kind = "depthwise"
        elif groups > 1:
            kind = "grouped"
        elif images[1] <= FEW_CHANNELS:
            kind = "few channels"
        elif stride == dilation == 1 and taps in ((1, 1), (3, 3)):
            kind = f"{taps[0]} x {taps[1]}"
        else:
            kind = "other"
        sizes = [images[0], *filters[:2], math.prod(outputs[2:]), groups]
        sizes += [math.prod(taps), stride, dilation]
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


@register_operation
class Conv2d(_Layer):
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
        options = _layer_options(
            images.shape[2:], filters.shape[2:], stride, padding, dilation, groups
        )
        _check_groups(groups, filters)
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
        sides = _output_sides(images.shape[2:], filters.shape[2:], options)
        return (images.shape[0], filters.shape[0], *sides)

    def layer(self, images, filters, **options):
        return images.shape, filters.shape, self.output_shape(images, filters, **options)

    def algorithms(self, images, filters, **options):
        return super().algorithms() + _MINIMAL * _minimal(filters, **options)

    def definition(self, images, filters, **options):
        sides = _output_sides(images.shape[2:], filters.shape[2:], options)
        return reference.conv2d(images, filters, output_size=sides, **options)

    def bound_by(self, algorithm, images, filters, **options):
        if algorithm == "fft":
            size = np.multiply.outer(_norms(images, 1, 2, 3), _norms(filters, 1, 2, 3))
            return _layer_fft_bound(
                size, images.shape[2:], filters.shape[2:], options, images.dtype
            )
        if algorithm.startswith("winograd-"):
            sides = self.output_shape(images, filters, **options)[2:]
            made = int(algorithm.removeprefix("winograd-"))
            return bounds.winograd(made, pad(images, options["padding"]), filters, sides)
        magnitude = self.magnitude(images, filters, **options)
        return bounds.direct(math.prod(filters.shape[1:]), magnitude, images.dtype)

    def shapes(self, **sizes):
        images, filters, _, options = _layer_shapes(**sizes)
        return {"images": images, "filters": filters}, options


@register_operation
class Conv2dFilterGradient(_Layer):
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
        filter_size = _pair("filter_size", filter_size)
        options = _layer_options(images.shape[2:], filter_size, stride, padding, dilation, groups)
        batch, channels = images.shape[:2]
        filters = output_gradient.shape[1]
        if channels % groups:
            reject("groups", groups, f"a divisor of the images' {channels} channels")
        if filters % groups:
            reject("groups", groups, f"a divisor of the output gradient's {filters} channels")
        _check_gradient(
            output_gradient, batch, _output_sides(images.shape[2:], filter_size, options)
        )
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
            channels = _norms(images, 0, 2, 3).reshape(options["groups"], 1, -1)
            outputs = _norms(output_gradient, 0, 2, 3).reshape(options["groups"], -1, 1)
            size = (outputs * channels).reshape(output_gradient.shape[1], -1)
            return _layer_fft_bound(
                size, images.shape[2:], output_gradient.shape[2:], options, images.dtype
            )
        magnitude = self.magnitude(images, output_gradient, **options)
        terms = output_gradient.size // output_gradient.shape[1]
        return bounds.direct(terms, magnitude, images.dtype)

    def shapes(self, **sizes):
        images, filters, gradient, options = _layer_shapes(**sizes)
        options["filter_size"] = filters[2:]
        return {"images": images, "output_gradient": gradient}, options


@register_operation
class Conv2dInputGradient(_Layer):
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
        image_size = _pair("image_size", image_size)
        options = _layer_options(image_size, filters.shape[2:], stride, padding, dilation, groups)
        _check_groups(groups, filters)
        if output_gradient.shape[1] != filters.shape[0]:
            reject(
                "output_gradient",
                f"{output_gradient.shape[1]} channels",
                f"{filters.shape[0]}, one for each filter",
            )
        sides = _output_sides(image_size, filters.shape[2:], options)
        _check_gradient(output_gradient, output_gradient.shape[0], sides)
        return Arguments((output_gradient, filters), {"image_size": image_size, **options})

    def partner_shape(
        self, filters, *, image_size, stride=1, padding="valid", dilation=1, groups=1
    ):
        rank("filters", filters, 4)
        image_size = _pair("image_size", image_size)
        options = _layer_options(image_size, filters.shape[2:], stride, padding, dilation, groups)
        return (1, filters.shape[0], *_output_sides(image_size, filters.shape[2:], options))

    def output_shape(self, output_gradient, filters, *, image_size, groups, **_):
        return (output_gradient.shape[0], filters.shape[1] * groups, *image_size)

    def layer(self, output_gradient, filters, **options):
        images = self.output_shape(output_gradient, filters, **options)
        return images, filters.shape, output_gradient.shape

    def algorithms(self, output_gradient, filters, *, padding, **options):
        within = max(map(max, padding)) < filters.shape[2]
        return super().algorithms() + _MINIMAL * (within and _minimal(filters, **options))

    def definition(self, output_gradient, filters, **options):
        return reference.conv2d_input_gradient(output_gradient, filters, **options)

    def bound_by(self, algorithm, output_gradient, filters, **options):
        if algorithm == "fft":
            per_group = filters.reshape(options["groups"], -1, *filters.shape[1:])
            size = np.multiply.outer(
                _norms(output_gradient, 1, 2, 3), _norms(per_group, 1, 3, 4).ravel()
            )
            return _layer_fft_bound(
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
        images, filters, gradient, options = _layer_shapes(**sizes)
        options["image_size"] = images[2:]
        return {"output_gradient": gradient, "filters": filters}, options


def _minimal(filters, *, stride, dilation, groups, **_):
    """Whether minimal filtering (Winograd) serves a layer."""
    return filters.shape[2:] == (3, 3) and stride == dilation == groups == 1


def _products_before(outputs, n, k):
    """Count the products in the first outputs of a full convolution of n samples and k taps."""
    return int(np.clip(outputs - np.arange(k), 0, n).sum())


def _layer_shapes(
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
    options = _layer_options(size, filter_size, stride, padding, dilation, groups)
    return (
        (batch, channels, *size),
        (filters, channels // groups, *filter_size),
        (batch, filters, *_output_sides(size, filter_size, options)),
        options,
    )


def _layer_options(image_size, filter_size, stride, padding, dilation, groups):
    stride = integer("stride", stride, at_least=1)
    dilation = integer("dilation", dilation, at_least=1)
    groups = integer("groups", groups, at_least=1)
    padding = resolve_padding(padding, image_size, filter_size, stride, dilation)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    sides = _output_sides(image_size, filter_size, options)
    if min(sides) < 1:
        (top, bottom), (left, right) = padding
        extent = tuple((k - 1) * dilation + 1 for k in filter_size)
        padded = (image_size[0] + top + bottom, image_size[1] + left + right)
        reject("filter size", f"{extent} with dilation", f"at most {padded}, the padded image")
    return options


def _output_sides(image_size, filter_size, options):
    return output_sides(
        image_size, filter_size, options["stride"], options["padding"], options["dilation"]
    )


def _pair(argument, value):
    sides = value if isinstance(value, (tuple, list)) else (value, value)
    if len(sides) != 2:
        reject(argument, value, "an integer or a pair (height, width)")
    return tuple(integer(argument, side, at_least=1) for side in sides)


def _check_groups(groups, filters):
    if filters.shape[0] % groups:
        reject("groups", groups, f"a divisor of the number of filters, {filters.shape[0]}")


def _check_gradient(output_gradient, batch, sides):
    expected = (batch, output_gradient.shape[1], *sides)
    if output_gradient.shape != expected:
        reject("output_gradient", f"shape {output_gradient.shape}", f"shape {expected}")


def _norms(array, *axes):
    """2-norms over ``axes`` (all of them unless given), in float64: squares underflow float32."""
    return np.sqrt(np.square(array, dtype=np.float64).sum(axis=axes or None))


def _layer_fft_bound(size, image_size, filter_size, options, dtype):
    """`bounds.fft` for each pair of the first two axes of the result."""
    points = math.prod(
        n + sum(zeros) + options["dilation"] * f + options["stride"] * f
        for n, f, zeros in zip(image_size, filter_size, options["padding"])
    )
    return bounds.fft(points, size[..., np.newaxis, np.newaxis], dtype)
