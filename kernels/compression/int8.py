"""Layers of bytes, made from trained ones: weights are levels of 8 bits, and so are inputs."""

import numpy as np

from convgrad.kernels.compression.int4 import Int4
from convgrad.kernels.compression.kept import Kept
from convgrad.kernels.compression.rebuild import (
    Wrapper,
    is_map,
    is_whole,
    report,
    unwrapped,
    with_layers,
)
from convgrad.kernels.layers import Convolution, Dense
from convgrad.kernels.products.quantised_levels import MOST, Quantised, quantise_weights
from convgrad.kernels.validation import integer, reject


class Int8(Kept):
    """A dense layer or a convolution of bytes, by ``dense_int8`` or ``conv2d_int8``.

    Weights are kept, and saved, as int8. An output differs from that of its twin in floats by
    ``s/2 |w|_1 + t/2 |x|_1 + n s t/4`` at most, and roundings: w and x are the n weights and
    inputs that it sums, s and t what a level of the inputs and of its weights is worth; inputs
    beyond 127 s saturate and are not covered.

    Parameters
    ----------
    twin : Dense or Convolution
        Without groups. See `Kept`; `of` takes over its weights.
    """

    def __init__(self, twin):
        (weights,) = twin.arrays.values()
        stored = {
            "levels": np.zeros(weights.shape, np.int8),
            "scales": np.zeros(len(weights), weights.dtype),
            "input_scale": np.ones(1, weights.dtype),
        }
        if isinstance(twin, Convolution):
            super().__init__(twin, "conv2d_int8", stored, padding="same")
        else:
            super().__init__(twin, "dense_int8", stored)

    @classmethod
    def of(cls, twin, input_scale):
        """Quantise the weights of a layer.

        Parameters
        ----------
        twin : Dense or Convolution
        input_scale : float
            What a level of the inputs is worth.
        """
        (weights,) = twin.arrays.values()
        made = cls(twin)
        levels, scales = quantise_weights(weights.reshape(len(weights), -1), 8, "output")
        made.stored["levels"][...] = levels.reshape(weights.shape)
        made.stored["scales"][...] = scales[:, 0]
        made.stored["input_scale"][...] = input_scale
        made.renew()
        return made

    def renew(self):
        super().renew()
        self._options["input_scale"] = float(self.stored["input_scale"][0])

    def weights(self):
        return Quantised(self.stored["levels"], self.stored["scales"])


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


def quantise(model, examples, bits=8):
    """Keep weights as levels, one scale for each output, after training (Jacob et al., 2018).

    With 8 bits, inputs of each map are quantised too; their scale is calibrated, the largest
    magnitude being level 127. With 4 bits, inputs of dense layers stay floats (Dettmers and
    Zettlemoyer, 2023), and convolutions, of far fewer weights, have 8. Biases stay floats, and so
    do grouped and locally connected layers. Zeros of pruned layers stay zeros. The result infers,
    and cannot be trained.

    Parameters
    ----------
    model : Model
    examples : array_like, shape (count, *input_shape)
        Held-out inputs to calibrate with.
    bits : {8, 4}

    Returns
    -------
    Model
    Report
    """
    if integer("bits", bits, at_least=1) not in MOST:
        reject("bits", repr(bits), "8 or 4")
    scales = iter(input_scales(model, examples))

    def change(leaf):
        scale, inner = next(scales), unwrapped(leaf)
        if not (is_map(inner) and is_whole(inner)):
            return leaf
        return Int4.of(inner) if bits == 4 and isinstance(inner, Dense) else Int8.of(inner, scale)

    small = with_layers(model, change)
    return small, report(f"{bits}-bit levels after training", model, small)
