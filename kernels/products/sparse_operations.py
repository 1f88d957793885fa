"""The product with weights most of which are zero: what it computes, and what it costs."""

import math

import numpy as np

from convgrad.kernels.operation import Cost
from convgrad.kernels.products.operations import Dense
from convgrad.kernels.registry import register_operation
from convgrad.kernels.validation import integer, reject

_SOME = 8
"""Rows that tell how many weights are left: to look at all of them may take as long as a call."""


@register_operation
class DensePruned(Dense):
    """Dense layer after pruning: ``y = x W^T`` with weights most of which are zero.

    Weights come as an array with its zeros; `prepare` keeps those that are left in the format of
    the kernel, whose ``prepares`` takes a `scipy.sparse.csr_array` in its place too. Whether what
    is not finite passes a zero is up to the format: some leave it out.
    """

    name = "dense_pruned"
    sizes = {**Dense.sizes, "sparsity": 0.9, "block": 1}
    """``sparsity`` is the share of zeros; so many outputs as a ``block`` have theirs in common."""
    named_cases = {
        "tiny": {"batch": 2, "features": 7, "outputs": 5, "sparsity": 0.5},
        "VGG-16 last but one, 90 %": {"features": 4096, "outputs": 4096},
        "VGG-16 last but one, 90 % in blocks": {"features": 4096, "outputs": 4096, "block": 16},
    }

    def cost(self, *, batch, features, outputs, sparsity, block):
        left = _blocks_left(features, outputs, sparsity, block) * block
        elements = batch * features + batch * outputs + left  # places are up to the format
        return Cost(left, 2 * batch * left, elements, elements)

    def traits(self, inputs, weights):
        """Inputs, features, outputs, and the share of weights that is left."""
        kind, point = super().traits(inputs, weights)
        return kind, (*point, math.log2(_share_left(weights)))

    def pattern(self, weights):
        """The share of weights that is left, to a quarter of an octave."""
        return round(4 * math.log2(_share_left(weights)))

    def outline(self, dtype, **sizes):
        inputs, weights = super().outline(dtype, **sizes).arrays
        left = self.cost(**self.sizes | sizes).parameters
        return self.bind(inputs, outline_weights(weights.shape, left, dtype))

    def shapes(self, *, batch, features, outputs, sparsity, block):
        _blocks_left(features, outputs, sparsity, block)
        return super().shapes(batch=batch, features=features, outputs=outputs)

    def random_arrays(self, generator, shapes, *, features, outputs, sparsity, block, **_):
        inputs, weights = super().random_arrays(generator, shapes)
        kept = np.zeros(outputs // block * features, bool)
        kept[: _blocks_left(features, outputs, sparsity, block)] = True
        pattern = generator.permutation(kept).reshape(-1, features)
        return inputs, weights * np.repeat(pattern, block, axis=0)


def outline_weights(shape, left, dtype):
    """Weights of such a shape and share of zeros that take no memory but that of a row."""
    row = np.zeros(shape[1], dtype)
    row[: max(round(left / shape[0]), 1)] = 1
    return np.broadcast_to(row, shape)


def _share_left(weights):
    """Share of the weights that is not zero, by some of the rows."""
    rows = weights[:: max(len(weights) // _SOME, 1)]
    return max(np.count_nonzero(rows != 0), 1) / rows.size


def _blocks_left(features, outputs, sparsity, block):
    """Blocks of weights that pruning leaves."""
    block = integer("block", block, at_least=1)
    if outputs % block:
        reject("block", block, f"a divisor of the {outputs} outputs")
    if not 0 <= sparsity < 1:
        reject("sparsity", sparsity, "a share of at least 0, and below 1")
    return max(round((1 - sparsity) * (outputs // block) * features), 1)
