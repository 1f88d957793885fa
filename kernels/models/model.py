"""A model: layers, a loss, and all parameters in one vector."""

import json
from functools import cached_property

import numpy as np

from convgrad.kernels.layers.description import Described, describe
from convgrad.kernels.layers.files import encode
from convgrad.kernels.threads import one_blas_thread
from convgrad.kernels.validation import number

_BATCH = 256
"""Examples that are predicted at a time."""


class Model(Described):
    """Layers and what training makes small: loss, ``l2/2 |w|^2`` and ``l1 |w|_1``.

    Parameters
    ----------
    layers : Layer
        With at least one parameter; its arrays become views of `values`.
    loss : SquaredError or CrossEntropy
    l2, l1 : float
        Penalties on all parameters but biases. The l1 penalty has the sign of w as its gradient,
        and 0 at 0.

    Attributes
    ----------
    values, gradient : ndarray, shape (parameters,)
    """

    def __init__(self, layers, loss, *, l2=0.0, l1=0.0):
        self.layers, self.loss = layers, loss
        self.l2, self.l1 = number("l2", l2), number("l1", l1)
        dtype = next(iter(layers.arrays.values())).dtype
        self.values, self.gradient = np.empty((2, layers.parameters), dtype)
        layers.keep_in(self.values, self.gradient)

    @property
    def arguments(self):
        return {"layers": self.layers, "loss": self.loss, "l2": self.l2, "l1": self.l1}

    @cached_property
    def _penalised(self):
        """1 for each parameter that has a penalty, and 0 for the others."""
        arrays, dtype = self.layers.arrays.items(), self.values.dtype
        return np.concatenate([np.full(a.size, not n.endswith("bias"), dtype) for n, a in arrays])

    @property
    def parameters(self):
        """Numbers that training learns."""
        return self.values.size

    @property
    def stored_parameters(self):
        """Numbers that are stored, without weights that are zero."""
        return self.layers.stored_parameters

    @property
    def flops(self):
        """Additions and multiplications that one example takes, zeros included."""
        return self.layers.flops

    @property
    def bytes(self):
        """Bytes of what is stored, in memory; `encode` has those of the file."""
        return self.layers.bytes

    def loss_and_gradient(self, inputs, targets, generator=None):
        """Compute the loss of a batch, and set `gradient`.

        Parameters
        ----------
        inputs : ndarray, shape (batch, *input_shape)
            C-contiguous, of the dtype of `values`.
        targets : ndarray, shape (batch,)
        generator : numpy.random.Generator, optional
            Draws what dropout leaves out; None for none.

        Returns
        -------
        float
            Penalties included.
        """
        outputs = self.layers.forward(inputs, generator)
        loss, slope = self.loss(outputs, targets)
        self.layers.backward(slope, to_inputs=False)
        if self.l2 or self.l1:
            weights = self.values * self._penalised
            loss += self.l2 / 2 * float(weights @ weights) + self.l1 * float(abs(weights).sum())
            self.gradient += self.l2 * weights + self.l1 * np.sign(weights)
        return loss

    def predict(self, inputs):
        """Compute outputs, some examples at a time.

        Parameters
        ----------
        inputs : array_like, shape (count, *input_shape)

        Returns
        -------
        ndarray, shape (count, outputs)
        """
        inputs = np.asarray(inputs, self.values.dtype, order="C")
        parts = range(0, len(inputs), _BATCH)
        with one_blas_thread():
            return np.concatenate(
                [self.layers.forward(inputs[at : at + _BATCH]).copy() for at in parts]
            )

    def accuracy(self, inputs, classes):
        """Share of examples whose largest output is that of their class."""
        return float(np.mean(self.predict(inputs).argmax(axis=1) == classes))

    def error(self, inputs, targets):
        """Mean squared error of the one output."""
        return float(np.mean((self.predict(inputs)[:, 0] - targets) ** 2))

    def encode(self):
        """Contents of a safetensors file: what is stored, and layers and loss in words."""
        return encode(self.layers.stored, model=json.dumps(describe(self), separators=(",", ":")))

    def save(self, path):
        """Write a file from which `load` builds the model again; return its size in bytes."""
        with open(path, "wb") as file:
            return file.write(self.encode())

    def load(self, path):
        """Read parameters that a model of the same shapes has saved; see `Layer.load`."""
        self.layers.load(path)
