"""Structured pruning: whole filters and neurons are removed, and the model is rebuilt smaller."""

import numpy as np

from convgrad.kernels.compression.rebuild import (
    convolution,
    dense,
    is_whole,
    proper_share,
    report,
    unwrapped,
    with_parts,
)
from convgrad.kernels.layers import Bias, Convolution, Dropout, MaxPool, ReLU, Sequence, Sum
from convgrad.kernels.validation import reject


def remove_filters(model, share):
    """Remove the filters, and neurons of hidden layers, whose weights are smallest in sum.

    By the l1 norm, each layer by itself (Li et al., 2017). The biases of what is removed go too,
    and so do the weights that saw it. To fine-tune the result, train it.

    Parameters
    ----------
    model : Model
        Of dense layers and convolutions without groups, one after the other or in sums; zeros of
        pruned layers are free afterwards.
    share : float
        Of the filters of each layer, to the nearest number; one is left at least. The last map
        keeps its outputs.

    Returns
    -------
    Model
    Report

    Raises
    ------
    TypeError
        For a model with other layers.
    """
    share = proper_share(share)
    layers, _ = _shrink(model.layers, np.arange(model.layers.input_shape[0]), share)
    small = with_parts(model, layers)
    return small, report(f"filters removed by norm, {share:.0%}", model, small)


def _shrink(layer, seen, share):
    """A layer that sees some channels only and keeps all outputs, and these outputs."""
    if isinstance(layer, Sum):
        return Sum([_shrink(part, seen, share)[0] for part in layer.layers]), _all(layer)
    if not isinstance(layer, Sequence):
        return _shrink_leaf(unwrapped(layer), seen, 0.0)
    parts, small = list(_flat(layer)), []
    last = max((i for i, p in enumerate(parts) if not isinstance(p, _CHANNELWISE)), default=0)
    for i, part in enumerate(parts):
        if isinstance(part, Sum) or i == last:
            part, seen = _shrink(part, seen, share)
        else:
            part, seen = _shrink_leaf(unwrapped(part), seen, share)
        small.append(part)
    return Sequence(small), seen


_CHANNELWISE = Bias, Dropout, MaxPool, ReLU
"""Layers that give a channel for each one they see."""


def _flat(layer):
    if isinstance(layer, Sequence):
        for part in layer.layers:
            yield from _flat(part)
    else:
        yield layer


def _all(layer):
    return np.arange(layer.output_shape[0])


def _shrink_leaf(leaf, seen, share):
    shape = len(seen), *leaf.input_shape[1:]
    if isinstance(leaf, Bias):
        bias = leaf.arrays["bias"]
        small = Bias(shape, bias.dtype)
        small.arrays["bias"][...] = bias[seen]
        return small, seen
    if isinstance(leaf, Dropout):
        return Dropout(shape, leaf.share), seen
    if isinstance(leaf, _CHANNELWISE):
        return type(leaf)(shape), seen
    if not is_whole(leaf):
        reject("model", f"a layer {type(leaf).__name__}", "dense or ungrouped layers", TypeError)
    if isinstance(leaf, Convolution):
        filters = leaf.arrays["filters"]
        kept = _largest(filters, share)
        return convolution(shape, filters[np.ix_(kept, seen)]), kept
    if share and len(leaf.output_shape) > 1:
        reject("model", f"dense outputs of shape {leaf.output_shape}", "features", TypeError)
    weights = leaf.arrays["weights"]
    kept = _largest(weights, share)
    weights = weights.reshape(len(weights), leaf.input_shape[0], -1)[np.ix_(kept, seen)]
    outputs = (len(kept),) if share else leaf.output_shape
    small = dense(shape, outputs, weights.reshape(len(kept), -1))
    return small, kept if share else _all(leaf)


def _largest(weights, share):
    """Rows that are left, in order."""
    count = max(len(weights) - round(share * len(weights)), 1)
    norms = abs(weights).reshape(len(weights), -1).sum(axis=1)
    return np.sort(np.argsort(-norms, kind="stable")[:count])
