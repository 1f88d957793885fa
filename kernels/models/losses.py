"""What training makes small: a loss of outputs and targets, in the mean over a batch."""

import numpy as np

from convgrad.kernels.layers.description import Described


class SquaredError(Described):
    """``1/2 (y - h)^2``, h the one output of each example; the data's part of the linear model."""

    def __call__(self, outputs, targets):
        """Compute the loss.

        Parameters
        ----------
        outputs : ndarray, shape (batch, 1)
        targets : ndarray, shape (batch,)

        Returns
        -------
        float
            In the mean over the batch.
        ndarray, shape (batch, 1)
            Its gradient with respect to the outputs.
        """
        residuals = np.subtract(outputs, targets[:, np.newaxis], dtype=outputs.dtype)
        loss = float(np.vdot(residuals, residuals)) / (2 * len(outputs))
        residuals /= len(outputs)
        return loss, residuals


class CrossEntropy(Described):
    """``-log p``, p the share of an example's class in the exponentials of its outputs."""

    def __call__(self, outputs, targets):
        """Compute the loss.

        Parameters
        ----------
        outputs : ndarray, shape (batch, classes)
            Logarithms of probabilities, up to a constant for each example.
        targets : ndarray of int, shape (batch,)

        Returns
        -------
        float
            In the mean over the batch.
        ndarray, shape (batch, classes)
            Its gradient with respect to the outputs: probabilities, less 1 for the class.
        """
        rows = np.arange(len(outputs))
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        gradient = np.exp(shifted)
        totals = gradient.sum(axis=1, keepdims=True)
        loss = float(np.mean(np.log(totals[:, 0]) - shifted[rows, targets]))
        gradient /= totals
        gradient[rows, targets] -= 1
        gradient /= len(outputs)
        return loss, gradient
