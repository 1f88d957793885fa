"""Quantisation: numbers as whole multiples, the *levels*, of a scale that many of them share.

Symmetric, so that zero is level zero: ``x = scale * level`` with ``scale = max |x| / most`` and
``level = rint(x / scale)`` from -most to most (Jacob et al., 2018, section 2.1, without their zero
point). Everything is computed in the precision of the numbers, so that all kernels and the
reference find the same levels.
"""

from dataclasses import dataclass

import numpy as np

MOST = {8: 127, 4: 7}
"""Largest level by bits: as many below zero as above, so that negated numbers have negated ones."""


def scale_of(array, bits, axes):
    """Scale of all numbers along ``axes``, which are kept with length 1.

    At least the smallest normal number, also where all numbers are zero; NaN where one of them is
    not finite, so that all that is made with the scale becomes NaN.
    """
    largest = np.abs(array).max(axis=axes, keepdims=True)
    scale = np.maximum(largest / MOST[bits], np.finfo(array.dtype).tiny)
    return np.where(np.isfinite(scale), scale, np.nan).astype(array.dtype)


def given_scale(array, scale, axes):
    """As `scale_of`, where the scale is known beforehand and has to serve larger numbers too."""
    own = scale_of(array, 8, axes)
    known = max(array.dtype.type(scale), np.finfo(array.dtype).tiny)
    return np.where(np.isnan(own), own, known).astype(array.dtype)


def levels_of(array, scale, bits):
    """Levels of the numbers, as floats of their dtype; what lies beyond the largest saturates."""
    return np.clip(np.rint(array / scale), -MOST[bits], MOST[bits])


@dataclass
class Quantised:
    """Weights that are levels already, where kernels prepare: floats of them need not exist.

    Attributes
    ----------
    levels : ndarray of int8, shape (outputs, ...)
    scales : ndarray, shape (outputs,)
    """

    levels: np.ndarray
    scales: np.ndarray

    @property
    def shape(self):
        return self.levels.shape

    @property
    def dtype(self):
        return self.scales.dtype

    def __len__(self):
        return len(self.levels)

    def reshape(self, *shape):
        return Quantised(self.levels.reshape(*shape), self.scales)


def quantise_weights(weights, bits, scale_per):
    """Quantise the weights of each output.

    Parameters
    ----------
    weights : ndarray, shape (outputs, features), or Quantised
    bits : {8, 4}
    scale_per : {"tensor", "output"} or int
        What shares a scale; a number counts features of one output.

    Returns
    -------
    levels : ndarray, shape (outputs, features)
    scales : ndarray, shape (outputs, groups)
        A group is as many features as share a scale, the last of an output perhaps fewer.
    """
    if isinstance(weights, Quantised):
        return weights.levels, weights.scales[:, np.newaxis]
    outputs, features = weights.shape
    if scale_per == "tensor":
        scale = scale_of(weights, bits, (0, 1))
        return levels_of(weights, scale, bits), np.broadcast_to(scale, (outputs, 1)).copy()
    group = group_size(features, scale_per)
    groups = -(-features // group)
    padded = np.pad(weights, [(0, 0), (0, groups * group - features)])
    together = padded.reshape(outputs, groups, group)
    scales = scale_of(together, bits, 2)
    levels = levels_of(together, scales, bits).reshape(outputs, -1)[:, :features]
    return levels, scales[..., 0]


def group_size(features, scale_per):
    """Features of one output that share a scale."""
    return features if scale_per in ("tensor", "output") else min(scale_per, features)
