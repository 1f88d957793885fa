"""Layers one after the other, and the maps that are two of them."""

import numpy as np

from convgrad.kernels.layers.convolution import Convolution
from convgrad.kernels.layers.dense import Dense
from convgrad.kernels.layers.layer import Layer


class Composed(Layer):
    """A layer that is made of others; arrays are named after their place: "0.weights"."""

    def __init__(self, layers):
        self.layers = list(layers)
        self.input_shape = self.layers[0].input_shape
        self.output_shape = self.layers[-1].output_shape
        self.flops = sum(layer.flops for layer in self.layers)
        self._rooms = {}

    @property
    def arguments(self):
        return {"layers": self.layers}

    @property
    def arrays(self):
        return self._named("arrays")

    @property
    def gradients(self):
        return self._named("gradients")

    @property
    def stored(self):
        return self._named("stored")

    @property
    def stored_parameters(self):
        return sum(layer.stored_parameters for layer in self.layers)

    def leaves(self):
        return [leaf for layer in self.layers for leaf in layer.leaves()]

    def _named(self, kind):
        return {
            f"{number}.{name}": array
            for number, layer in enumerate(self.layers)
            for name, array in getattr(layer, kind).items()
        }


class Sequence(Composed):
    """Layers one after the other.

    Parameters
    ----------
    layers : sequence of Layer
        Each takes what the one before gives.
    """

    def __init__(self, layers):
        super().__init__(layers)
        # Nobody asks for the gradient with respect to the inputs of what trains first.
        self._first = next((i for i, layer in enumerate(self.layers) if layer.arrays), 0)

    def forward(self, inputs, generator=None):
        for layer in self.layers:
            inputs = layer.forward(inputs, generator)
        return inputs

    def backward(self, output_gradient, to_inputs=True):
        first = 0 if to_inputs else self._first
        for i in reversed(range(first, len(self.layers))):
            output_gradient = self.layers[i].backward(output_gradient, to_inputs or i > first)
        return output_gradient if to_inputs else None


def depthwise_separable(input_shape, filters, filter_size, generator, dtype=np.float32):
    """One filter for each channel, then a 1 x 1 convolution (Sifre, 2014; Howard et al., 2017).

    Parameters are channels x (filter height x filter width + filters).
    """
    count = input_shape[0]
    each = Convolution(input_shape, count, filter_size, generator, groups=count, dtype=dtype)
    return Sequence([each, Convolution(input_shape, filters, (1, 1), generator, dtype=dtype)])


def spatially_separable(input_shape, filters, filter_size, rank, generator, dtype=np.float32):
    """``rank`` filters of one column, then filters of one row (Jaderberg et al., 2014).

    Parameters are rank x (channels x filter height + filters x filter width).
    """
    columns = Convolution(input_shape, rank, (filter_size[0], 1), generator, dtype=dtype)
    rows = Convolution(columns.output_shape, filters, (1, filter_size[1]), generator, dtype=dtype)
    return Sequence([columns, rows])


def low_rank_convolution(input_shape, filters, filter_size, rank, generator, dtype=np.float32):
    """``rank`` filters, and 1 x 1 mixtures of them (Zhang, Zou, He and Sun, 2015).

    Parameters are rank x (channels x filter height x filter width + filters).
    """
    few = Convolution(input_shape, rank, filter_size, generator, dtype=dtype)
    mixtures = Convolution(few.output_shape, filters, (1, 1), generator, dtype=dtype)
    return Sequence([few, mixtures])


def low_rank_dense(input_shape, output_shape, rank, generator, dtype=np.float32):
    """A dense map of rank ``rank``: two factors (Denil et al., 2013).

    Parameters are rank x (inputs + outputs).
    """
    few = Dense(input_shape, (rank,), generator, dtype)
    return Sequence([few, Dense((rank,), output_shape, generator, dtype)])
