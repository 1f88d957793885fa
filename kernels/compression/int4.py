"""Dense layers of 4-bit weights, two in a byte."""

import numpy as np

from convgrad.kernels.compression.kept import Kept
from convgrad.kernels.products.quantised_levels import Quantised, quantise_weights


class Int4(Kept):
    """A dense layer whose weights are levels from -7 to 7, by ``dense_quantised``.

    Weights are kept, and saved, as halves of bytes, with a scale for each output; inputs stay
    floats. An output differs from that of its twin by ``t/2 |x|_1`` at most, and roundings: x are
    its inputs, and t is what a level of its weights is worth.

    Parameters
    ----------
    twin : Dense
        See `Kept`; `of` takes over its weights.
    """

    def __init__(self, twin):
        weights = twin.arrays["weights"]
        outputs, self._features = weights.shape
        stored = {
            "levels": np.zeros((outputs, -(-self._features // 2)), np.uint8),
            "scales": np.zeros(outputs, weights.dtype),
        }
        super().__init__(twin, "dense_quantised", stored, bits=4, scale_per="output")

    @classmethod
    def of(cls, twin):
        """Quantise the weights of a dense layer."""
        made = cls(twin)
        levels, scales = quantise_weights(twin.arrays["weights"], 4, "output")
        made.stored["levels"][...] = _pack(levels.astype(np.int8))
        made.stored["scales"][...] = scales[:, 0]
        return made

    @property
    def stored_parameters(self):
        return int(np.count_nonzero(self._levels())) + self.stored["scales"].size

    def weights(self):
        return Quantised(self._levels(), self.stored["scales"])

    def _levels(self):
        return _unpack(self.stored["levels"])[:, : self._features]


def _pack(levels):
    """Two levels in a byte, the first one low; a byte is zero where both of them are."""
    even = np.pad(levels, [(0, 0), (0, levels.shape[1] % 2)]).view(np.uint8) & 15
    return even[:, ::2] | even[:, 1::2] << 4


def _unpack(stored):
    """Levels of bytes; a half above 7 is negative."""
    low, high = (stored << 4).view(np.int8) >> 4, stored.view(np.int8) >> 4
    return np.stack([low, high], axis=2).reshape(len(stored), -1)
