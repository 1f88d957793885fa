"""The models of the study, from the linear one to convolutions: sizes are data."""

import numpy as np

from convgrad.kernels.layers import (
    Bias,
    Convolution,
    Dense,
    Dropout,
    MaxPool,
    ReLU,
    Sequence,
    Sum,
)
from convgrad.kernels.models.losses import CrossEntropy, SquaredError
from convgrad.kernels.models.model import Model


def linear(features, *, l2=0.0, l1=0.0, seed=0, dtype=np.float32):
    """``h_w(x) = w x + b`` with squared error: the linear model, estimated.

    Parameters
    ----------
    features : int
    l2, l1 : float
        See `Model`.
    seed : int
        Of the start weights.
    dtype : dtype
    """
    layers = _head((features,), [], 1, 0.0, np.random.default_rng(seed), dtype)
    return Model(Sequence(layers), SquaredError(), l2=l2, l1=l1)


def softmax_regression(input_shape, classes, *, l2=0.0, seed=0, dtype=np.float32):
    """A linear model of the logarithms of probabilities: ``mlp`` without hidden layers."""
    return mlp(input_shape, [], classes, l2=l2, seed=seed, dtype=dtype)


def mlp(input_shape, widths, classes, *, dropout=0.0, l2=0.0, seed=0, dtype=np.float32):
    """A multilayer perceptron.

    Parameters
    ----------
    input_shape : tuple of int
    widths : sequence of int
        Outputs of each hidden dense layer.
    classes : int
    dropout : float
        Share of the inputs of each dense layer but the first that training leaves out.
    l2 : float
        See `Model`.
    seed : int
        Of the start weights.
    dtype : dtype
    """
    layers = _head(input_shape, widths, classes, dropout, np.random.default_rng(seed), dtype)
    return Model(Sequence(layers), CrossEntropy(), l2=l2)


def cnn(input_shape, stages, widths, classes, *, dropout=0.0, l2=0.0, seed=0, dtype=np.float32):
    """Stages of convolution and pooling, then dense layers.

    Parameters
    ----------
    input_shape : (int, int, int)
        (channels, height, width).
    stages : sequence of (int, (int, int))
        Filters, and their height and width, of each convolution; each halves height and width.
    widths, classes, l2, seed, dtype
        As of `mlp`.
    dropout : float
        Share of the inputs of each dense layer that training leaves out.
    """
    generator = np.random.default_rng(seed)
    trunk = _trunk(input_shape, stages, generator, dtype)
    between = [Dropout(trunk[-1].output_shape, dropout)] if dropout else []
    head = _head(trunk[-1].output_shape, widths, classes, dropout, generator, dtype)
    return Model(Sequence([*trunk, *between, *head]), CrossEntropy(), l2=l2)


def joined(input_shape, stages, classes, *, l2=0.0, seed=0, dtype=np.float32):
    """A linear model of the pixels and one of what convolutions make of them, added.

    Linear where the network is shallow, convolution where it is deep (Cheng et al., *Wide and
    deep learning*, 2016). Parameters as of `cnn`.
    """
    generator = np.random.default_rng(seed)
    shallow = Dense(input_shape, (classes,), generator, dtype)
    trunk = _trunk(input_shape, stages, generator, dtype)
    head = _head(trunk[-1].output_shape, [], classes, 0.0, generator, dtype)
    return Model(Sum([shallow, Sequence([*trunk, *head])]), CrossEntropy(), l2=l2)


def _trunk(shape, stages, generator, dtype):
    layers = []
    for filters, filter_size in stages:
        layers.append(Convolution(shape, filters, filter_size, generator, dtype=dtype))
        layers.append(MaxPool(layers[-1].output_shape))
        layers.append(Bias(layers[-1].output_shape, dtype))
        layers.append(ReLU(layers[-1].output_shape))
        shape = layers[-1].output_shape
    return layers


def _head(shape, widths, outputs, dropout, generator, dtype):
    layers = []
    for width in widths:
        layers += [Dense(shape, (width,), generator, dtype), Bias((width,), dtype), ReLU((width,))]
        layers += [Dropout((width,), dropout)] if dropout else []
        shape = (width,)
    return [*layers, Dense(shape, (outputs,), generator, dtype), Bias((outputs,), dtype)]
