"""How fast descent can be: the eigenvalues of ``A^T A``, steps, and the rates that they allow."""

from typing import NamedTuple

import numpy as np


class Conditioning(NamedTuple):
    """Largest and smallest eigenvalue of ``A^T A + l2``."""

    largest: float
    smallest: float

    @property
    def number(self):
        """Condition number k, largest by smallest; infinite where the smallest is zero."""
        return self.largest / self.smallest if self.smallest > 0 else float("inf")

    @property
    def safe_step(self):
        """``1/L``, whose rate is ``1 - 1/k``; no weight oscillates."""
        return 1 / self.largest

    @property
    def best_step(self):
        """``2/(L + mu)``, of least rate, ``(k - 1)/(k + 1)`` (Polyak, 1987)."""
        return 2 / (self.largest + self.smallest)

    def rate(self, step):
        """What a step leaves of the distance to the minimum, at most; above 1 descent diverges.

        An error along an eigenvector shrinks by ``1 - step * eigenvalue``; the worst is at an end.
        """
        return max(abs(1 - step * self.largest), abs(1 - step * self.smallest))


def conditioning(matrix, l2=0.0):
    """Measure the conditioning of a fit.

    Parameters
    ----------
    matrix : ndarray, shape (samples, parameters)
        The linear model: features, or a signal's delayed copies as columns.
    l2 : float
        Adds to every eigenvalue.

    Returns
    -------
    Conditioning
        By the singular values of ``A`` in float64: to form ``A^T A`` would square their error.
    """
    values = np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False) ** 2
    smallest = values[-1] if len(values) == matrix.shape[1] else 0.0
    return Conditioning(float(values[0]) + l2, float(smallest) + l2)
