"""Magnitude pruning: the smallest weights become zero, and stay so."""

import numpy as np

from convgrad.kernels.compression.rebuild import (
    Wrapper,
    is_map,
    proper_share,
    report,
    unwrapped,
    with_layers,
)
from convgrad.kernels.validation import reject

_PRUNINGS = 20
"""Times that gradual pruning takes weights away."""


class Pruned(Wrapper):
    """A layer that keeps its zeros.

    Their gradients are zero, and what the memory of an optimiser adds to them is taken back
    before the next use.

    Parameters
    ----------
    layer : Layer
        Its weights that are zero stay zero; biases are free.
    """

    def __init__(self, layer):
        super().__init__(layer)
        self.keep()

    @property
    def inside(self):
        self.apply()
        return self.layer

    def renew(self):
        super().renew()
        self.keep()

    def keep(self):
        """Let what is zero now stay zero."""
        self.kept = {name: a != 0 for name, a in self.arrays.items() if a.ndim > 1}

    def apply(self):
        """Set to zero what has to be."""
        for name, kept in self.kept.items():
            self.arrays[name] *= kept

    def backward(self, output_gradient, to_inputs=True):
        back = super().backward(output_gradient, to_inputs)
        for name, kept in self.kept.items():
            self.gradients[name] *= kept
        return back


def prune(model, share):
    """Set the weights of smallest magnitude to zero, in one shot (Han et al., 2015).

    Those of all layers are compared with each other. Masks survive training: to fine-tune the
    result, train it.

    Parameters
    ----------
    model : Model
    share : float
        Of the weights that are zero afterwards, to the nearest number; biases do not count.

    Returns
    -------
    Model
    Report
    """
    share = proper_share(share)
    small = _keeping_zeros(model)
    _take_away(small, share)
    return small, report(f"magnitude pruning, {share:.0%} zeros", model, small)


def prune_gradually(model, share, training, part, epochs):
    """Prune while training (Zhu and Gupta, 2017).

    The share of zeros is ``share (1 - (1 - t)^3)``, t from 0 to 1 over the first half of the
    steps; the second half is fine-tuning.

    Parameters
    ----------
    model : Model
    share : float
        As of `prune`.
    training : callable
        ``training(model)`` returns a `Training`.
    part : Part
        To learn from.
    epochs : int

    Returns
    -------
    Model
    Report
    """
    share = proper_share(share)
    small = _keeping_zeros(model)

    def after_step(progress):
        half = max(progress.steps // 2, 1)
        every = -(-half // _PRUNINGS)
        if progress.step == half or (progress.step < half and progress.step % every == 0):
            _take_away(small, share * (1 - (1 - progress.step / half) ** 3))

    training(small).run(part, epochs, after_step)
    for layer in _pruned(small):
        layer.apply()
    return small, report(f"gradual magnitude pruning, {share:.0%} zeros", model, small)


def _keeping_zeros(model):
    small = with_layers(model, lambda leaf: Pruned(unwrapped(leaf)) if is_map(leaf) else leaf)
    if not _pruned(small):
        reject("model", "one without weights in floats", "some; prune before quantising", TypeError)
    return small


def _pruned(model):
    return [leaf for leaf in model.layers.leaves() if isinstance(leaf, Pruned)]


def _take_away(model, share):
    """Set the smallest weights to zero, as many as make up the share."""
    layers = _pruned(model)
    for layer in layers:
        layer.apply()
    weights = [layer.arrays[name] for layer in layers for name in layer.kept]
    magnitudes = np.concatenate([abs(array).ravel() for array in weights])
    zeros = np.zeros(magnitudes.size, bool)
    order = np.argsort(magnitudes, kind="stable")
    zeros[order[: round(share * magnitudes.size)]] = True
    ends = np.cumsum([array.size for array in weights])[:-1]
    for array, some in zip(weights, np.split(zeros, ends)):
        array[some.reshape(array.shape)] = 0
    for layer in layers:
        layer.keep()
