"""What stands between maps: rectifier and dropout."""

import numpy as np

from convgrad.kernels.layers.layer import Layer
from convgrad.kernels.validation import number, reject


class ReLU(Layer):
    """``y = max(x, 0)``."""

    def __init__(self, input_shape):
        super().__init__(input_shape, input_shape)

    @property
    def arguments(self):
        return {"input_shape": self.input_shape}

    def forward(self, inputs, generator=None):
        outputs = self.room("outputs", inputs.shape, inputs.dtype)
        self._outputs = np.maximum(inputs, 0, out=outputs)
        return outputs

    def backward(self, output_gradient, to_inputs=True):
        positive = self.room("positive", output_gradient.shape, bool)
        np.greater(self._outputs, 0, out=positive)
        back = self.room("input gradient", output_gradient.shape, output_gradient.dtype)
        return np.multiply(output_gradient, positive, out=back)


class Dropout(Layer):
    """Zeros in place of a share of the inputs, in training only (Srivastava et al., 2014).

    The others are divided by what is kept, so that sums stay the same in the mean.

    Parameters
    ----------
    input_shape : tuple of int
    share : float
        Probability of a zero, in 0..1 without 1.
    """

    def __init__(self, input_shape, share):
        super().__init__(input_shape, input_shape)
        self.share = number("share", share)
        if self.share >= 1:
            reject("share", repr(share), "a number below 1")

    @property
    def arguments(self):
        return {"input_shape": self.input_shape, "share": self.share}

    def forward(self, inputs, generator=None):
        self._factors = None
        if generator is None or self.share == 0:
            return inputs
        kept = generator.random(inputs.shape, np.float32) >= self.share
        factors = self.room("factors", inputs.shape, inputs.dtype)
        self._factors = np.divide(kept, 1 - self.share, out=factors, casting="unsafe")
        return np.multiply(inputs, factors, out=self.room("outputs", inputs.shape, inputs.dtype))

    def backward(self, output_gradient, to_inputs=True):
        if self._factors is None:
            return output_gradient
        back = self.room("input gradient", output_gradient.shape, output_gradient.dtype)
        return np.multiply(output_gradient, self._factors, out=back)
