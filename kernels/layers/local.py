"""A locally connected layer: filters that see a neighbourhood, others at every place."""

import numpy as np

from convgrad.kernels.layers.choice import compute
from convgrad.kernels.layers.layer import Layer, draw
from convgrad.kernels.registry import operation


class LocallyConnected(Layer):
    """``locally_connected`` of stride 1 that keeps height and width.

    Parameters
    ----------
    input_shape : (int, int, int)
        (channels, height, width).
    filters : int
        At each place.
    filter_size : (int, int)
        (height, width); parameters are height x width times those of a convolution.
    generator : numpy.random.Generator, optional
        Draws the start weights; zeros unless given.
    dtype : dtype
    """

    def __init__(self, input_shape, filters, filter_size, generator=None, dtype=np.float32):
        channels, *image_size = input_shape
        taps = channels * filter_size[0] * filter_size[1]
        shape = *image_size, filters, channels, *filter_size
        local = operation("locally_connected")
        names = "channels", "height", "width", "filters", "filter_height", "filter_width"
        sizes = dict(zip(names, (*input_shape, filters, *filter_size)))
        super().__init__(
            input_shape,
            (filters, *image_size),
            {"filters": draw(generator, shape, taps, dtype)},
            local.cost(**local.sizes | sizes).flops,
        )

    @property
    def arguments(self):
        filters = self.arrays["filters"]
        return {
            "input_shape": self.input_shape,
            "filters": self.output_shape[0],
            "filter_size": filters.shape[4:],
            "dtype": str(filters.dtype),
        }

    def forward(self, inputs, generator=None):
        self._inputs = inputs
        outputs = self.room("outputs", (len(inputs), *self.output_shape), inputs.dtype)
        filters = self.arrays["filters"]
        return compute("locally_connected", inputs, filters, out=outputs, padding="same")

    def backward(self, output_gradient, to_inputs=True):
        filters = self.arrays["filters"]
        compute(
            "locally_connected_filter_gradient",
            self._inputs,
            output_gradient,
            out=self.gradients["filters"],
            filter_size=filters.shape[4:],
            padding="same",
        )
        if not to_inputs:
            return None
        return compute(
            "locally_connected_input_gradient",
            output_gradient,
            filters,
            out=self.room("input gradient", self._inputs.shape, filters.dtype),
            image_size=self.input_shape[1:],
            padding="same",
        )
