"""Products with quantised weights: what they compute, what they accept, and what they cost.

Quantising is part of these operations: they take arrays of floats, and their result is that of
the definition with rounded weights. `prepare` keeps the weights in the small type, and nothing
else is read then.
"""

import math

import numpy as np

from convgrad.kernels.convolution.bounds import direct
from convgrad.kernels.operation import Arguments, Cost, gamma, higher_precision
from convgrad.kernels.products.operations import Dense
from convgrad.kernels.products.quantised_levels import (
    MOST,
    given_scale,
    group_size,
    levels_of,
    quantise_weights,
    scale_of,
)
from convgrad.kernels.registry import register_operation
from convgrad.kernels.validation import choice, integer, number, reject

LONGEST = (2**31 - 1) // MOST[8] ** 2
"""Terms of a sum of products of 8-bit levels that always fits 32 bits."""


@register_operation
class DenseQuantised(Dense):
    """Dense layer with weights of 8 or 4 bits: ``y = x Q(W)^T``, inputs stay floats.

    Weights are ``Q(W) = scale * level``, rounded to the nearest of 255 or 15 levels. Scales for
    short runs of features are what keeps 4 bits accurate (Dettmers et al., 2022; Frantar et al.,
    2023).
    """

    name = "dense_quantised"
    sizes = {**Dense.sizes, "bits": 8, "scale_per": "output"}
    named_cases = {
        "tiny": {"batch": 2, "features": 7, "outputs": 5},
        "VGG-16 last but one": {"features": 4096, "outputs": 4096},
        "VGG-16 last but one, 4 bits": {
            "features": 4096,
            "outputs": 4096,
            "bits": 4,
            "scale_per": 32,
        },
    }

    def bind(self, inputs, weights, *, bits=8, scale_per="output"):
        """Validate a call.

        Parameters
        ----------
        inputs : array_like, shape (batch, features)
        weights : array_like, shape (outputs, features)
        bits : {8, 4}
            Levels from -127 to 127, or from -7 to 7.
        scale_per : {"tensor", "output"} or int
            What shares a scale: all weights, those of an output, or so many consecutive ones
            of an output. If one weight is not finite, all that share its scale become NaN.

        Returns
        -------
        Arguments
            (inputs, weights), {bits, scale_per}; the result has shape (batch, outputs).
        """
        (inputs, weights), _ = super().bind(inputs, weights)
        if integer("bits", bits, at_least=1) not in MOST:
            reject("bits", bits, "8 or 4")
        if not isinstance(scale_per, str):
            scale_per = integer("scale_per", scale_per, at_least=1)
        else:
            choice("scale_per", scale_per, ("tensor", "output"))
        return Arguments((inputs, weights), {"bits": int(bits), "scale_per": scale_per})

    def traits(self, inputs, weights, *, bits, scale_per):
        """Inputs, features, outputs, and features that share a scale; kinds are of bits."""
        _, point = super().traits(inputs, weights)
        group = group_size(weights.shape[1], scale_per)
        return f"{bits} bits", (*point, math.log2(group))

    def definition(self, inputs, weights, **options):
        return inputs @ dequantised(weights, inputs.dtype, **options).T

    def reference(self, inputs, weights, **options):
        wide = higher_precision(inputs.dtype)
        return inputs.astype(wide) @ dequantised(weights, wide, **options).T

    def bound(self, algorithm, inputs, weights, **options):
        kept = np.abs(dequantised(weights, np.float64, **options))
        magnitude = np.abs(inputs).astype(np.float64) @ kept.T
        # To scale a weight, or the sum of a group, is one rounding more.
        return direct(inputs.shape[1] + 1, magnitude, inputs.dtype)

    def cost(self, *, batch, features, outputs, bits, scale_per):
        groups = -(-features // group_size(features, scale_per))
        elements = batch * features + batch * outputs + outputs * groups
        products = batch * features * outputs
        kept = -(-outputs * features * bits // 8)
        return Cost(outputs * features, 2 * products, elements, elements, kept)


@register_operation
class DenseInt8(Dense):
    """Dense layer of bytes: ``y = Q(x) Q(W)^T``, inputs and weights quantised to 8 bits.

    Products are summed up in integers, exactly, and the sums multiplied with the scales of their
    row and output (Jacob et al., 2018). Inputs are quantised when they come, row by row, unless
    their scale is given, such as one found on other data.
    """

    name = "dense_int8"
    sizes = {**Dense.sizes, "scale_per": "output"}
    named_cases = {
        "tiny": {"batch": 2, "features": 7, "outputs": 5},
        "VGG-16 last but one": {"features": 4096, "outputs": 4096},
    }

    def bind(self, inputs, weights, *, scale_per="output", input_scale=None):
        """Validate a call.

        Parameters
        ----------
        inputs : array_like, shape (batch, features)
        weights : array_like, shape (outputs, features)
        scale_per : {"output", "tensor"}
            Which weights share a scale.
        input_scale : float, optional
            What one level of the inputs is worth; inputs beyond 127 of it saturate. Unless
            given, a row's largest magnitude is level 127. A row with an input that is not finite
            gives NaN, and so do weights that share a scale with such a one.

        Returns
        -------
        Arguments
            (inputs, weights), {scale_per, input_scale}; the result has shape (batch, outputs).
        """
        (inputs, weights), _ = super().bind(inputs, weights)
        check_terms("weights", weights.shape[1])
        options = int8_options(scale_per, "output", input_scale)
        return Arguments((inputs, weights), options)

    def definition(self, inputs, weights, **options):
        sums, scales = integer_sums(inputs, weights, **options)
        return (sums * scales).astype(inputs.dtype)

    def reference(self, inputs, weights, **options):
        sums, scales = integer_sums(inputs, weights, **options)
        return sums * scales

    def bound(self, algorithm, inputs, weights, **options):
        return rescaled(*integer_sums(inputs, weights, **options), inputs.dtype)

    def cost(self, *, batch, features, outputs, scale_per):
        elements = batch * features + batch * outputs + outputs
        products = batch * features * outputs
        return Cost(outputs * features, 2 * products, elements, elements, outputs * features)


def check_terms(argument, terms):
    """Reject sums that may not fit 32 bits."""
    if terms > LONGEST:
        reject(argument, f"{terms} terms in a sum", f"at most {LONGEST}, whose sum fits int32")


def int8_options(scale_per, own, input_scale):
    """Validate the options of an operation on bytes, ``own`` being what may have a scale."""
    choice("scale_per", scale_per, (own, "tensor"))
    if input_scale is not None:
        input_scale = number("input_scale", input_scale, positive=True)
    return {"scale_per": scale_per, "input_scale": input_scale}


def dequantised(weights, dtype, *, bits, scale_per):
    """Weights after quantisation, ``scale * level``, in the precision of ``dtype``."""
    levels, scales = quantise_weights(weights, bits, scale_per)
    group = group_size(weights.shape[1], scale_per)
    spread = np.repeat(scales.astype(dtype), group, axis=1)[:, : weights.shape[1]]
    return levels.astype(dtype) * spread


def quantise_inputs(array, input_scale, axes):
    """Levels of inputs and their scales, one for all numbers along ``axes``."""
    known = input_scale is not None
    scale = given_scale(array, input_scale, axes) if known else scale_of(array, 8, axes)
    return levels_of(array, scale, 8), scale


def integer_sums(inputs, weights, *, scale_per, input_scale):
    """Exact sums of products of levels, in float64, and their scales in higher precision."""
    levels, scale = quantise_inputs(inputs, input_scale, 1)
    weight_levels, weight_scales = quantise_weights(weights, 8, scale_per)
    wide = higher_precision(inputs.dtype)
    sums = levels.astype(np.float64) @ weight_levels.astype(np.float64).T
    return sums, scale.astype(wide) * weight_scales.astype(wide).T


def rescaled(sums, scales, dtype):
    """Elementwise bound for exact sums that are multiplied with two scales.

    Sum, product of the scales, and result are rounded; the scales may underflow before they meet
    the sum.
    """
    size = np.abs(sums)
    lost = (size + 1) * float(np.finfo(dtype).smallest_subnormal)
    return gamma(3, dtype) * (size * scales).astype(np.float64) + lost
