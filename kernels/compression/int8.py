"""Layers of bytes, made from trained ones: weights are levels of 8 bits, and so are inputs."""

import numpy as np

from convgrad.kernels.compression.rebuild import (
    Wrapper,
    is_map,
    is_whole,
    report,
    unwrapped,
    with_layers,
)
from convgrad.kernels.layers import Convolution, Layer
from convgrad.kernels.layers.description import describe
from convgrad.kernels.products.quantised_levels import MOST, quantise_weights
from convgrad.kernels.registry import get
from convgrad.kernels.validation import reject


class Int8(Layer):
    """A dense layer or a convolution of bytes, by ``dense_int8`` or ``conv2d_int8``.

    Weights are kept, and saved, as int8. An output differs from that of its twin in floats by
    ``s/2 |w|_1 + t/2 |x|_1 + n s t/4`` at most, and roundings: w and x are the n weights and
    inputs that it sums, s and t what a level of the inputs and of its weights is worth; inputs
    beyond 127 s saturate and are not covered.
    It infers, and does not learn.

    Parameters
    ----------
    layer : Dense or Convolution
        Without groups.
    input_scale : float
        What a level of the inputs is worth.
    """

    def __init__(self, layer, input_scale):
        super().__init__(layer.input_shape, layer.output_shape, flops=layer.flops)
        self._twin = describe(layer)
        (weights,) = layer.arrays.values()
        levels, scales = quantise_weights(weights.reshape(len(weights), -1), 8, "output")
        self._operation = "conv2d_int8" if isinstance(layer, Convolution) else "dense_int8"
        self._stored = {
            "levels": levels.reshape(weights.shape).astype(np.int8),
            "scales": scales[:, 0],
            "input_scale": np.array([input_scale], weights.dtype),
        }
        self._call = None

    @property
    def arguments(self):
        return {"layer": self._twin, "input_scale": float(self._stored["input_scale"][0])}

    @property
    def stored(self):
        return self._stored

    def renew(self):
        self._call = None

    def forward(self, inputs, generator=None):
        if self._call is None:
            self._call = self._prepare()
        if self._operation == "dense_int8":
            inputs = inputs.reshape(len(inputs), -1)
        return self._call(inputs).reshape(len(inputs), *self.output_shape)

    def backward(self, output_gradient, to_inputs=True):
        reject("layer", "one of bytes", "floats to train; quantise afterwards", TypeError)

    def _prepare(self):
        """The kernel, with weights packed: their largest is level 127, so it finds the same."""
        levels, scales = self._stored["levels"], self._stored["scales"]
        weights = levels * scales.reshape(-1, *[1] * (levels.ndim - 1))
        options = {"input_scale": float(self._stored["input_scale"][0])}
        if self._operation == "conv2d_int8":
            options["padding"] = "same"
        return get(self._operation, "numba_bytes").prepare(weights, **options)

    def __getstate__(self):
        return self.__dict__ | {"_call": None}


class _Watch(Wrapper):
    """A layer that remembers the largest magnitude it has seen."""

    largest = 0.0

    def forward(self, inputs, generator=None):
        self.largest = max(self.largest, float(abs(inputs).max()))
        return super().forward(inputs, generator)


def input_scales(model, examples):
    """What a level of each leaf's inputs has to be worth for none of these to saturate.

    Parameters
    ----------
    model : Model
    examples : array_like, shape (count, *input_shape)
        At least one.

    Returns
    -------
    list of float
        In the order of ``model.layers.leaves()``.
    """
    if len(examples) == 0:
        reject("examples", "none", "at least one to calibrate with")
    watched = with_layers(model, _Watch)
    watched.predict(examples)
    tiny = float(np.finfo(model.values.dtype).tiny)
    return [max(leaf.largest / MOST[8], tiny) for leaf in watched.layers.leaves()]


def quantise(model, examples):
    """Keep weights as int8, one scale for each output, after training (Jacob et al., 2018).

    Inputs of each map are quantised too; their scale is calibrated, the largest magnitude being
    level 127. Biases stay floats, and so do grouped and locally connected layers. Zeros of pruned
    layers stay zeros. The result infers, and cannot be trained.

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
        scale, inner = next(scales), unwrapped(leaf)
        return Int8(inner, scale) if is_map(inner) and is_whole(inner) else leaf

    small = with_layers(model, change)
    return small, report("8-bit levels after training", model, small)
