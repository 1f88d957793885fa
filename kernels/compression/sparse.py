"""Layers that store the weights that pruning has left, and nothing in place of the others."""

import numpy as np
from scipy.sparse import csr_array

from convgrad.kernels.compression.kept import Kept
from convgrad.kernels.compression.rebuild import report, unwrapped, with_layers
from convgrad.kernels.layers import Dense
from convgrad.kernels.layers.files import PARTS, compress
from convgrad.kernels.products.sparse_operations import outline_weights


class Sparse(Kept):
    """A dense layer of compressed rows, by ``dense_pruned``.

    Which kernel it takes, and whether that keeps rows, blocks or the zeros too, goes by measured
    times for its batch, its shape and its share of zeros.

    Parameters
    ----------
    twin : Dense
        See `Kept`; `of` takes over its weights.
    left : int
        Weights that are not zero.
    """

    def __init__(self, twin, left):
        weights = twin.arrays["weights"]
        outputs, features = self._shape = weights.shape
        width = np.min_scalar_type(features)
        stored = {
            "values": np.zeros(left, weights.dtype),
            "columns": np.zeros(left, width),
            "counts": np.zeros(outputs, width),
        }
        super().__init__(twin, "dense_pruned", stored)
        self.flops = 2 * left

    @classmethod
    def of(cls, twin):
        """Leave out the weights of a dense layer that are zero."""
        stored = compress(twin.arrays["weights"])
        made = cls(twin, stored["values"].size)
        made.restore(stored)
        return made

    @property
    def arguments(self):
        return super().arguments | {"left": self.stored_parameters}

    @property
    def stored_parameters(self):
        return self.stored["values"].size

    def weights(self):
        values, columns, counts = (self.stored[part] for part in PARTS)
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int32)], dtype=np.int32)
        return csr_array((values, columns.astype(np.int32), starts), self._shape)

    def outline(self):
        return outline_weights(self._shape, self.stored_parameters, self.stored["values"].dtype)


def compact(model):
    """Keep the dense layers of a pruned model without their zeros, where that is smaller.

    Convolutions stay as they are, zeros and all: so few weights of each are no time to win. The
    result computes the same, up to roundings; it infers, and cannot be trained.

    Parameters
    ----------
    model : Model

    Returns
    -------
    Model
    Report
    """

    def change(leaf):
        inner = unwrapped(leaf)
        if not isinstance(inner, Dense):
            return leaf
        small = Sparse.of(inner)
        return small if small.bytes < inner.bytes else leaf

    small = with_layers(model, change)
    return small, report("zeros left out", model, small)
