"""A number for each channel, added."""

import numpy as np

from convgrad.kernels.layers.layer import Layer


class Bias(Layer):
    """``y = x + b``, one number for each channel or feature.

    Behind `MaxPool` instead of before it, it does the same to a quarter of the numbers.

    Parameters
    ----------
    input_shape : tuple of int
        Parameters are its first side.
    dtype : dtype
    """

    def __init__(self, input_shape, dtype=np.float32):
        super().__init__(input_shape, input_shape, {"bias": np.zeros(input_shape[0], dtype)})

    @property
    def arguments(self):
        return {"input_shape": self.input_shape, "dtype": str(self.arrays["bias"].dtype)}

    def forward(self, inputs, generator=None):
        bias = self.arrays["bias"].reshape(-1, *[1] * (len(self.input_shape) - 1))
        return np.add(inputs, bias, out=self.room("outputs", inputs.shape, inputs.dtype))

    def backward(self, output_gradient, to_inputs=True):
        others = (0, *range(2, output_gradient.ndim))
        np.sum(output_gradient, axis=others, out=self.gradients["bias"])
        return output_gradient
