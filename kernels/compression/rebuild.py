"""What the ways share: models of other layers, layers around layers, and what was gained."""

import copy
import numbers
from typing import NamedTuple

from convgrad.kernels.layers import Convolution, Dense, Layer
from convgrad.kernels.layers.sequence import Composed
from convgrad.kernels.models import Model
from convgrad.kernels.validation import reject


class Report(NamedTuple):
    """What a way of making a model smaller did."""

    way: str
    """In words."""
    parameters_before: int
    """Numbers that are stored, without weights that are zero."""
    parameters_after: int
    bytes_before: int
    """Of the file that `Model.save` writes."""
    bytes_after: int


def report(way, before, after):
    """Compare two models.

    Parameters
    ----------
    way : str
    before, after : Model

    Returns
    -------
    Report
    """
    pair = before, after
    return Report(way, *(m.stored_parameters for m in pair), *(len(m.encode()) for m in pair))


def chain(model, *ways):
    """Apply some ways, each to what the one before has left.

    What is pruned and rounded still learns, and so it can have a teacher before it is quantised
    for good: fewer weights, then fewer bits (Han, Mao and Dally, 2016), and the teacher makes up
    for both (Polino, Pascanu and Alistarh, 2018). With ``training(model)`` as of `distil`::

        chain(
            model,
            lambda model: prune(model, 0.9),
            lambda model: round_to_levels(model, held_out),
            lambda student: distil(model, student, training, part, epochs=20),
            lambda model: quantise(model, held_out),
        )

    Parameters
    ----------
    model : Model
    *ways : callable
        ``way(model)`` returns a model and a `Report`.

    Returns
    -------
    Model
    list of Report
    """
    reports = []
    for way in ways:
        model, done = way(model)
        reports.append(done)
    return model, reports


def with_layers(model, change):
    """A model of its own whose layers are ``change(copy)`` of those of another.

    Parameters
    ----------
    model : Model
    change : callable
        Takes a leaf and returns a layer of the same shapes.
    """
    return with_parts(model, _replace(model.layers, change))


def with_parts(model, layers):
    """A model of these layers, with loss and penalties of another."""
    return Model(layers, model.loss, l2=model.l2, l1=model.l1)


def _replace(layer, change):
    if isinstance(layer, Composed):
        return type(layer)([_replace(part, change) for part in layer.layers])
    return change(copy.deepcopy(layer))


class Wrapper(Layer):
    """A layer around a leaf: the same parameters, something done on the way in or out.

    Parameters
    ----------
    layer : Layer
        Shares its arrays and gradients from now on.
    """

    def __init__(self, layer):
        super().__init__(layer.input_shape, layer.output_shape, flops=layer.flops)
        self.arrays, self.gradients = layer.arrays, layer.gradients
        self.layer = layer

    @property
    def arguments(self):
        return {"layer": self.layer}

    @property
    def inside(self):
        """The layer as it is to be used."""
        return self.layer

    @property
    def stored(self):
        return self.inside.stored

    def renew(self):
        self.layer.renew()

    def forward(self, inputs, generator=None):
        return self.inside.forward(inputs, generator)

    def backward(self, output_gradient, to_inputs=True):
        return self.layer.backward(output_gradient, to_inputs)


def unwrapped(layer):
    """The leaf inside all wrappers."""
    return unwrapped(layer.inside) if isinstance(layer, Wrapper) else layer


def is_map(layer):
    """Whether a leaf has weights, not biases alone, inside its wrappers or without."""
    return any(array.ndim > 1 for array in layer.arrays.values())


def dense(input_shape, output_shape, weights):
    """A dense layer with these weights, shape (outputs, features)."""
    layer = Dense(input_shape, output_shape, dtype=weights.dtype)
    layer.arrays["weights"][...] = weights
    return layer


def convolution(input_shape, filters):
    """A convolution with these filters, shape (filters, channels, height, width)."""
    layer = Convolution(input_shape, len(filters), filters.shape[2:], dtype=filters.dtype)
    layer.arrays["filters"][...] = filters
    return layer


def is_whole(layer):
    """Whether a leaf is a dense layer, or a convolution whose filters see all channels."""
    if isinstance(layer, Convolution):
        return layer.arrays["filters"].shape[1] == layer.input_shape[0]
    return isinstance(layer, Dense)


def proper_share(share):
    """Return ``share`` as a float, or reject it."""
    if isinstance(share, bool) or not isinstance(share, numbers.Real) or not 0 <= share < 1:
        reject("share", repr(share), "a number of at least 0, and below 1")
    return float(share)
