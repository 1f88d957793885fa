"""Layers: one map, many parameterisations, forward and backward by registered kernels.

>>> import numpy as np
>>> from convgrad.kernels.layers import Convolution, Dense
>>> generator = np.random.default_rng(0)
>>> Dense((1, 28, 28), (8, 28, 28), generator).parameters  # every output sees every pixel
4917248
>>> Convolution((1, 28, 28), 8, (3, 3), generator).parameters  # 8 filters of 3 x 3, shared
72
"""

from convgrad.kernels.layers.bias import Bias
from convgrad.kernels.layers.convolution import Convolution
from convgrad.kernels.layers.dense import Dense
from convgrad.kernels.layers.layer import Layer
from convgrad.kernels.layers.local import LocallyConnected
from convgrad.kernels.layers.parallel import Sum
from convgrad.kernels.layers.plumbing import Dropout, ReLU
from convgrad.kernels.layers.pooling import MaxPool
from convgrad.kernels.layers.sequence import (
    Sequence,
    depthwise_separable,
    low_rank_convolution,
    low_rank_dense,
    spatially_separable,
)

__all__ = [
    "Bias",
    "Convolution",
    "Dense",
    "Dropout",
    "Layer",
    "LocallyConnected",
    "MaxPool",
    "ReLU",
    "Sequence",
    "Sum",
    "depthwise_separable",
    "low_rank_convolution",
    "low_rank_dense",
    "spatially_separable",
]
