"""One map, many parameterisations: networks that differ in their second map alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convgrad.kernels.layers import (
    Bias,
    Convolution,
    Dense,
    Dropout,
    LocallyConnected,
    MaxPool,
    ReLU,
    Sequence,
    depthwise_separable,
    low_rank_convolution,
    low_rank_dense,
    spatially_separable,
)
from convgrad.kernels.models import CrossEntropy, Model

_TAPS = 3, 3
_DROPOUT = 0.3
"""Share that training leaves out in front of the dense layer, as in other networks of digits."""


@dataclass(frozen=True)
class MapBetween:
    """A convolution, the map in question and a dense layer; pooling behind the first two.

    Attributes
    ----------
    before, after : int
        Channels that the map sees, and gives at the same places.
    make : callable
        ``make(input_shape, filters, generator)`` returns the map.
    """

    before: int
    after: int
    make: Callable

    def __call__(self, input_shape, classes, seed):
        """Build it; see `Recipe.build`. What is around the map starts alike for all maps."""
        around, own = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        layers = _pooled(Convolution(input_shape, self.before, _TAPS, around))
        layers += _pooled(self.make(layers[-1].output_shape, self.after, own))
        layers.append(Dropout(layers[-1].output_shape, _DROPOUT))
        layers.append(Dense(layers[-1].output_shape, (classes,), around))
        return Model(Sequence([*layers, Bias((classes,))]), CrossEntropy())


def _pooled(layer):
    pool = MaxPool(layer.output_shape)
    return [layer, pool, Bias(pool.output_shape), ReLU(pool.output_shape)]


def dense(shape, filters, generator):
    """Every output sees every input."""
    return Dense(shape, (filters, *shape[1:]), generator)


def low_rank(shape, filters, generator, rank):
    """A dense map of two factors."""
    return low_rank_dense(shape, (filters, *shape[1:]), rank, generator)


def local(shape, filters, generator):
    """Outputs see a neighbourhood, each with weights of its own."""
    return LocallyConnected(shape, filters, _TAPS, generator)


def convolution(shape, filters, generator, groups=1):
    """Outputs see a neighbourhood, with weights that are shared over space."""
    return Convolution(shape, filters, _TAPS, generator, groups=groups)


def separable(shape, filters, generator):
    """One filter for each channel, then mixtures."""
    return depthwise_separable(shape, filters, _TAPS, generator)


def rows_of_columns(shape, filters, generator, rank):
    """Filters of one column, then of one row."""
    return spatially_separable(shape, filters, _TAPS, rank, generator)


def few_filters(shape, filters, generator, rank):
    """A few filters, then mixtures of them."""
    return low_rank_convolution(shape, filters, _TAPS, rank, generator)
