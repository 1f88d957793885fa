"""Models and their training, with nothing but the kernels of this package.

>>> from convgrad.kernels import datasets
>>> from convgrad.kernels.models import Adam, Training, cnn
>>> digits = datasets.load("digits")  # doctest: +SKIP
>>> model = cnn((1, 8, 8), [(16, (3, 3))], [], 10, seed=0)
>>> model.parameters  # 16 x 3 x 3 + 16, and 10 x 16 x 4 x 4 + 10
2730
>>> Training(model, Adam(), batch=64, seed=0).run(digits.development, epochs=20)  # doctest: +SKIP
>>> model.accuracy(*digits.test)  # doctest: +SKIP
"""

from convgrad.kernels.models.architectures import cnn, joined, linear, mlp, softmax_regression
from convgrad.kernels.models.files import load
from convgrad.kernels.models.losses import CrossEntropy, SquaredError
from convgrad.kernels.models.model import Model
from convgrad.kernels.models.optimisers import Adam, GradientDescent, Momentum
from convgrad.kernels.models.training import Diverged, Progress, Training

__all__ = [
    "Adam",
    "CrossEntropy",
    "Diverged",
    "GradientDescent",
    "Model",
    "Momentum",
    "Progress",
    "SquaredError",
    "Training",
    "cnn",
    "joined",
    "linear",
    "load",
    "mlp",
    "softmax_regression",
]
