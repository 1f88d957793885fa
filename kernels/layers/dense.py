"""A dense layer: every output sees every input."""

from math import prod

import numpy as np

from convgrad.kernels.layers.choice import compute
from convgrad.kernels.layers.layer import Layer, draw


class Dense(Layer):
    """``y = x W^T`` of all inputs of an example, whatever their shape.

    Parameters
    ----------
    input_shape, output_shape : tuple of int
        Parameters are the product of all their sides.
    generator : numpy.random.Generator, optional
        Draws the start weights; zeros unless given.
    dtype : dtype
    """

    def __init__(self, input_shape, output_shape, generator=None, dtype=np.float32):
        features, outputs = prod(input_shape), prod(output_shape)
        weights = draw(generator, (outputs, features), features, dtype)
        super().__init__(input_shape, output_shape, {"weights": weights}, 2 * weights.size)

    @property
    def arguments(self):
        shapes = {"input_shape": self.input_shape, "output_shape": self.output_shape}
        return shapes | {"dtype": str(self.arrays["weights"].dtype)}

    def forward(self, inputs, generator=None):
        weights = self.arrays["weights"]
        self._inputs = inputs.reshape(len(inputs), -1)
        outputs = self.room("outputs", (len(inputs), len(weights)), inputs.dtype)
        compute("dense", self._inputs, weights, out=outputs)
        return outputs.reshape(len(inputs), *self.output_shape)

    def backward(self, output_gradient, to_inputs=True):
        batch, weights = len(output_gradient), self.arrays["weights"]
        gradient = output_gradient.reshape(batch, -1)
        compute("dense", gradient.T, self._inputs.T, out=self.gradients["weights"])
        if not to_inputs:
            return None
        back = self.room("input gradient", (batch, weights.shape[1]), gradient.dtype)
        compute("dense", gradient, weights.T, out=back)
        return back.reshape(batch, *self.input_shape)
