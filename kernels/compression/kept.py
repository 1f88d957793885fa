"""What layers share that infer only: small weights, in the form in which a kernel keeps them."""

from abc import abstractmethod

import numpy as np

from convgrad.kernels.layers import Layer
from convgrad.kernels.layers.choice import keeper
from convgrad.kernels.layers.description import describe
from convgrad.kernels.validation import reject


class Kept(Layer):
    """A layer whose weights are stored small, and kept by a kernel in a form of its own.

    Kernels prepare from what is stored, and floats of all weights need not exist. It infers, and
    does not learn.

    Parameters
    ----------
    twin : Dense or Convolution
        The layer that it stands for; its weights are not looked at.
    operation : str
        What it computes.
    stored : dict of str to ndarray
        What a file holds.
    **options
        Of the operation.
    """

    def __init__(self, twin, operation, stored, **options):
        super().__init__(twin.input_shape, twin.output_shape, flops=twin.flops)
        self._twin, self._operation, self._options = describe(twin), operation, options
        self._stored = stored
        self.renew()

    @abstractmethod
    def weights(self):
        """The weights as kernels prepare from them: an array, or what they take in its place."""

    def outline(self):
        """An array of the weights' shape and dtype that takes no memory, to choose a kernel by."""
        weights = self.weights()
        return np.broadcast_to(np.zeros((), weights.dtype), weights.shape)

    @property
    def arguments(self):
        return {"twin": self._twin}

    @property
    def stored(self):
        return self._stored

    def renew(self):
        self._forms, self._calls = {}, {}

    def forward(self, inputs, generator=None):
        batch = len(inputs)
        outputs = self.room("outputs", (batch, *self.output_shape), inputs.dtype)
        flat = outputs
        if self._operation.startswith("dense"):
            inputs, flat = inputs.reshape(batch, -1), outputs.reshape(batch, -1)
        if batch not in self._calls:
            self._calls[batch] = self._prepare(inputs.shape)
        self._calls[batch](inputs, out=flat)
        return outputs

    def backward(self, output_gradient, to_inputs=True):
        reject("layer", f"{type(self).__name__}, which infers only", "floats to train", TypeError)

    def _prepare(self, shape):
        """A call of the kernel for inputs of this shape; several may share it."""
        kernel, options = keeper(self._operation, shape, self.outline(), **self._options)
        if kernel.name not in self._forms:
            self._forms[kernel.name] = kernel.prepares(self.weights(), **options)
        return self._forms[kernel.name]

    def __getstate__(self):
        return self.__dict__ | {"_forms": {}, "_calls": {}}
