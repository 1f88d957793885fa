"""Steps from a gradient: each an update of one vector of parameters, in place."""

import numpy as np

from convgrad.kernels.validation import number


class _Optimiser:
    """What optimisers share: a step, and a memory of as many numbers as there are parameters."""

    memories = ()
    """Names of the vectors that go along with the parameters, zero at first."""

    def __init__(self, step):
        self.step = number("step", step, positive=True)
        self.updates = 0
        self.memory = {}

    def update(self, values, gradient):
        """Take one step.

        Parameters
        ----------
        values : ndarray, shape (parameters,)
            Changed.
        gradient : ndarray, shape (parameters,)
            Of the loss at these values.
        """
        if not self.memory:
            self.memory = {name: np.zeros_like(values) for name in self.memories}
        self.updates += 1
        self._move(values, gradient)


class GradientDescent(_Optimiser):
    """``w <- w - step g`` (Cauchy, 1847; of batches drawn at random, Robbins and Monro, 1951).

    Parameters
    ----------
    step : float
    """

    def __init__(self, step=0.1):
        super().__init__(step)

    def _move(self, values, gradient):
        values -= self.step * gradient


class Momentum(_Optimiser):
    """``v <- decay v + g``, ``w <- w - step v`` (Polyak, 1964).

    Parameters
    ----------
    step, decay : float
    """

    memories = ("velocity",)

    def __init__(self, step=0.02, decay=0.9):
        super().__init__(step)
        self.decay = number("decay", decay)

    def _move(self, values, gradient):
        velocity = self.memory["velocity"]
        velocity *= self.decay
        velocity += gradient
        values -= self.step * velocity


class Adam(_Optimiser):
    """Running means m of g and v of g^2; ``w <- w - step m / (sqrt(v) + 1e-8)`` (Kingma, Ba, 2015).

    Both means are divided by ``1 - decay^t`` at step t, since they begin at zero.

    Parameters
    ----------
    step, decay, square_decay : float
    """

    memories = ("mean", "square")

    def __init__(self, step=0.001, decay=0.9, square_decay=0.999):
        super().__init__(step)
        self.decay = number("decay", decay)
        self.square_decay = number("square_decay", square_decay)

    def _move(self, values, gradient):
        mean, square = self.memory["mean"], self.memory["square"]
        mean *= self.decay
        mean += (1 - self.decay) * gradient
        square *= self.square_decay
        square += (1 - self.square_decay) * gradient * gradient
        scale = np.sqrt(square / (1 - self.square_decay**self.updates))
        scale += 1e-8
        values -= self.step / (1 - self.decay**self.updates) * mean / scale
