"""A convolution layer: filters that see a neighbourhood and are shared over space."""

from math import prod

import numpy as np

from convgrad.kernels.layers.choice import compute
from convgrad.kernels.layers.layer import Layer, draw
from convgrad.kernels.registry import operation


class Convolution(Layer):
    """``conv2d`` of stride 1 that keeps height and width.

    Parameters
    ----------
    input_shape : (int, int, int)
        (channels, height, width).
    filters : int
    filter_size : (int, int)
        (height, width).
    generator : numpy.random.Generator, optional
        Draws the start weights; zeros unless given.
    groups : int
        Channels and filters are divided into so many, which do not see each other; parameters
        are filters x channels / groups x filter height x filter width.
    dtype : dtype
    """

    def __init__(
        self, input_shape, filters, filter_size, generator=None, *, groups=1, dtype=np.float32
    ):
        channels, *image_size = input_shape
        shape = filters, channels // groups, *filter_size
        names = "channels", "height", "width", "filters", "filter_height", "filter_width"
        sizes = dict(zip(names, (*input_shape, filters, *filter_size))) | {"groups": groups}
        weights = draw(generator, shape, prod(shape[1:]), dtype)
        conv2d = operation("conv2d")
        flops = conv2d.cost(**conv2d.sizes | sizes).flops
        super().__init__(input_shape, (filters, *image_size), {"filters": weights}, flops)
        self._options = {"padding": "same", "groups": groups}

    @property
    def arguments(self):
        filters = self.arrays["filters"]
        return {
            "input_shape": self.input_shape,
            "filters": len(filters),
            "filter_size": filters.shape[2:],
            "groups": self._options["groups"],
            "dtype": str(filters.dtype),
        }

    def forward(self, inputs, generator=None):
        self._inputs = inputs
        outputs = self.room("outputs", (len(inputs), *self.output_shape), inputs.dtype)
        return compute("conv2d", inputs, self.arrays["filters"], out=outputs, **self._options)

    def backward(self, output_gradient, to_inputs=True):
        filters = self.arrays["filters"]
        compute(
            "conv2d_filter_gradient",
            self._inputs,
            output_gradient,
            out=self.gradients["filters"],
            filter_size=filters.shape[2:],
            **self._options,
        )
        if not to_inputs:
            return None
        return compute(
            "conv2d_input_gradient",
            output_gradient,
            filters,
            out=self.room("input gradient", self._inputs.shape, filters.dtype),
            image_size=self.input_shape[1:],
            **self._options,
        )
