"""Low rank: a map becomes two, its best approximation by so few numbers in between."""

import numpy as np

from convgrad.kernels.compression.rebuild import (
    convolution,
    dense,
    is_whole,
    proper_share,
    report,
    unwrapped,
    with_layers,
)
from convgrad.kernels.layers import Dense, Sequence
from convgrad.kernels.validation import reject


def truncated_svd(matrix, rank):
    """Two factors of a rank whose product is nearest to a matrix (Eckart and Young, 1936).

    Parameters
    ----------
    matrix : ndarray, shape (outputs, inputs)
    rank : int
        At most the smaller side.

    Returns
    -------
    ndarray, shape (outputs, rank)
    ndarray, shape (rank, inputs)
        Each has the square roots of the singular values, so that both learn at one pace.
    """
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    roots = np.sqrt(singular[:rank])
    return left[:, :rank] * roots, roots[:, np.newaxis] * right[:rank]


def factorise(model, share):
    """Replace maps by two factors each, from the singular values (Denton et al., 2014).

    A dense layer becomes two, a convolution a few filters and 1 x 1 mixtures of them (Zhang, Zou,
    He and Sun, 2015). Maps with no fewer parameters then stay as they are, and so do grouped and
    locally connected ones, and those of as many outputs as the model: their rank is that of its
    answers. To fine-tune the result, train it.

    Parameters
    ----------
    model : Model
        The zeros of pruned layers that become factors are lost.
    share : float
        Of the full rank of each map, to the nearest number, above 0; 1 at least is left.

    Returns
    -------
    Model
    Report
    """
    share = proper_share(share)
    if share == 0:
        reject("share", repr(share), "a number above 0, and below 1")
    answers = model.layers.output_shape
    small = with_layers(
        model, lambda leaf: leaf if leaf.output_shape == answers else _factorise(leaf, share)
    )
    return small, report(f"low rank, {share:.0%} of the full one", model, small)


def _factorise(layer, share):
    leaf = unwrapped(layer)
    if not is_whole(leaf):
        return layer
    (weights,) = leaf.arrays.values()
    outputs, inputs = len(weights), weights[0].size
    rank = max(round(share * min(outputs, inputs)), 1)
    if rank * (outputs + inputs) >= outputs * inputs:
        return layer
    last, first = truncated_svd(weights.reshape(outputs, inputs), rank)
    if isinstance(leaf, Dense):
        few = dense(leaf.input_shape, (rank,), first)
        return Sequence([few, dense((rank,), leaf.output_shape, last)])
    few = convolution(leaf.input_shape, first.reshape(rank, *weights.shape[1:]))
    return Sequence([few, convolution(few.output_shape, last[..., np.newaxis, np.newaxis])])
