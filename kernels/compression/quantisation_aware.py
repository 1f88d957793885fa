"""Quantisation-aware training: the model learns with what quantisation will do to it."""

import numpy as np

from convgrad.kernels.compression.int8 import input_scales, quantise
from convgrad.kernels.compression.rebuild import (
    Wrapper,
    is_map,
    is_whole,
    report,
    unwrapped,
    with_layers,
)
from convgrad.kernels.products.quantised_levels import MOST, levels_of
from convgrad.kernels.products.quantised_operations import dequantised


class Rounded(Wrapper):
    """A layer that computes with weights and inputs rounded to 8-bit levels, and learns exact ones.

    Gradients are those at the rounded numbers and pass the rounding unchanged, the
    straight-through estimate of Bengio, Leonard and Courville (2013); inputs that saturate get
    none.

    Parameters
    ----------
    layer : Layer
        Dense, or a convolution without groups, pruned perhaps.
    input_scale : float
        What a level of the inputs is worth.
    """

    def __init__(self, layer, input_scale):
        super().__init__(layer)
        self.input_scale = input_scale

    @property
    def arguments(self):
        return super().arguments | {"input_scale": self.input_scale}

    def forward(self, inputs, generator=None):
        scale = inputs.dtype.type(self.input_scale)
        self._inside = abs(inputs) <= MOST[8] * scale
        self._rounded = {name: _rounded(weights) for name, weights in self.arrays.items()}
        return self._with_rounded(self.inside.forward, levels_of(inputs, scale, 8) * scale)

    def backward(self, output_gradient, to_inputs=True):
        back = self._with_rounded(self.layer.backward, output_gradient, to_inputs)
        return None if back is None else np.multiply(back, self._inside, out=back)

    def _with_rounded(self, function, *arguments):
        """Call a method of the layer inside while its weights are the rounded ones."""
        exact = dict(self.arrays)
        self.arrays.update(self._rounded)
        try:
            return function(*arguments)
        finally:
            self.arrays.update(exact)


def round_to_levels(model, examples):
    """Have a model compute with rounded weights and inputs, and learn exact ones.

    It is no smaller yet: train it, by itself or with a teacher, then `quantise` it for good.

    Parameters
    ----------
    model : Model
    examples : array_like, shape (count, *input_shape)
        Held-out inputs to calibrate with.

    Returns
    -------
    Model
    Report
    """
    scales = iter(input_scales(model, examples))

    def change(leaf):
        scale = next(scales)
        return Rounded(leaf, scale) if is_map(leaf) and is_whole(unwrapped(leaf)) else leaf

    rounded = with_layers(model, change)
    return rounded, report("8-bit levels to learn with", model, rounded)


def quantise_aware(model, examples, training, part, epochs):
    """Train with rounded weights and inputs, then quantise (Jacob et al., 2018).

    Parameters
    ----------
    model : Model
    examples : array_like, shape (count, *input_shape)
        Held-out inputs to calibrate with, before training and after.
    training : callable
        ``training(model)`` returns a `Training`.
    part : Part
        To learn from.
    epochs : int

    Returns
    -------
    Model
        Of bytes, as `quantise` makes it.
    Report
    """
    rounded, _ = round_to_levels(model, examples)
    training(rounded).run(part, epochs)
    small, done = quantise(rounded, examples)
    return small, done._replace(way="8-bit levels, learnt with them")


def _rounded(weights):
    flat = weights.reshape(len(weights), -1)
    return dequantised(flat, flat.dtype, bits=8, scale_per="output").reshape(weights.shape)
