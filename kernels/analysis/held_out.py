"""Errors on held-out data, and which of the candidates they speak for."""

from typing import NamedTuple

import numpy as np


class HeldOut(NamedTuple):
    """Mean squared errors on held-out samples.

    Attributes
    ----------
    errors : ndarray, shape (folds, candidates)
        The simplest candidate first.
    """

    errors: np.ndarray

    @property
    def mean(self):
        """Of the folds, shape (candidates,); each fold counts alike."""
        return self.errors.mean(axis=0)

    @property
    def standard_error(self):
        """Of `mean`, shape (candidates,): folds taken as independent, which they nearly are."""
        return self.errors.std(axis=0, ddof=1) / np.sqrt(len(self.errors))

    @property
    def least(self):
        """Index of the candidate with the least mean error."""
        return int(self.mean.argmin())

    @property
    def one_standard_error(self):
        """Index of the simplest candidate that is within one standard error of the least.

        What lies within cannot be told from the best (Breiman, Friedman, Olshen and Stone, 1984).
        """
        limit = self.mean[self.least] + self.standard_error[self.least]
        return int(np.argmax(self.mean <= limit))
