"""Layers side by side."""

import numpy as np

from convgrad.kernels.layers.sequence import Composed


class Sum(Composed):
    """``y = f(x) + g(x)``: layers that see the same inputs, and whose outputs are added.

    Parameters
    ----------
    layers : sequence of Layer
        Of equal input and output shapes.
    """

    def forward(self, inputs, generator=None):
        first, *others = (layer.forward(inputs, generator) for layer in self.layers)
        total = self.room("outputs", first.shape, first.dtype)
        np.copyto(total, first)
        for outputs in others:
            total += outputs
        return total

    def backward(self, output_gradient, to_inputs=True):
        backs = [layer.backward(output_gradient, to_inputs) for layer in self.layers]
        if not to_inputs:
            return None
        total = self.room("input gradient", backs[0].shape, backs[0].dtype)
        np.copyto(total, backs[0])
        for back in backs[1:]:
            total += back
        return total
