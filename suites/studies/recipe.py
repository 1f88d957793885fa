"""A recipe: a model that can be trained, with all that its training takes, as data."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from convgrad.kernels.compression.kept import Kept
from convgrad.kernels.models import Adam, Training

FAMILIES = (
    *("dense", "local", "convolution", "separable", "low rank", "joined"),
    *("pruned", "fewer filters", "quantised", "distilled"),
)
"""What a model is, or what has made it smaller."""


@dataclass(frozen=True)
class Schedule:
    """How long a model is trained, and by what steps of Adam.

    Attributes
    ----------
    epochs : int
    step : float
    batch : int
        Examples in a step.
    shifts : int
        Pixels by which images are moved at most.
    """

    epochs: int
    step: float = 0.001
    batch: int = 64
    shifts: int = 0

    def training(self, seed):
        """What the ways of `kernels.compression` take: a callable, model to `Training`."""
        return lambda model: Training(
            model, Adam(self.step), batch=self.batch, seed=seed, shifts=self.shifts
        )

    def train(self, model, part, seed):
        """Train a model on a part of a dataset, all epochs."""
        self.training(seed)(model).run(part, self.epochs)


@dataclass(frozen=True)
class Recipe:
    """One model of a study: either built and trained, or made from another one.

    Attributes
    ----------
    name : str
        Of the model, among those of its data.
    data : str
        As in ``kernels.datasets.names()``.
    family : str
        Of `FAMILIES`.
    build : callable, optional
        ``build(input_shape, classes, seed)`` returns a `Model` to be trained.
    training : Schedule, optional
        Of what was built.
    shrink : callable, optional
        ``shrink(model, dataset, seed)`` returns what the trained model ``base`` becomes; see
        `ways`.
    base : str
        Name of a recipe, where there is ``shrink``.
    compared_to : str
        Name of the recipe that this one is meant to gain on, or to lose little against.
    """

    name: str
    data: str
    family: str
    build: Callable | None = None
    training: Schedule | None = None
    shrink: Callable | None = None
    base: str = ""
    compared_to: str = ""

    @property
    def label(self):
        """Name among the models of all data."""
        return f"{self.data} {self.name}"


def learn(recipe, seed, dataset, base_model=None):
    """Follow a recipe once.

    Training sees the training part alone: the validation part is left to choose by.

    Parameters
    ----------
    recipe : Recipe
    seed : int
        Of all that is drawn: start weights, order of examples, dropout and shifts.
    dataset : Dataset
    base_model : Model, optional
        Trained by the recipe ``base`` with the same seed; not changed.

    Returns
    -------
    Model
    dict
        A row of ``learned.csv``, but for the size of the file; ``train_s`` are the seconds from
        the base on, accuracies are shares.
    """
    start = time.perf_counter()
    if recipe.shrink:
        model = recipe.shrink(base_model, dataset, seed)
    else:
        model = recipe.build(dataset.train.inputs.shape[1:], dataset.classes, seed)
        recipe.training.train(model, dataset.train, seed)
    seconds = time.perf_counter() - start
    return model, {
        "data": dataset.name,
        "package": dataset.package,
        "version": dataset.version,
        "sha256": dataset.sha256,
        "model": recipe.name,
        "family": recipe.family,
        "base": recipe.base,
        "compared_to": recipe.compared_to,
        "seed": seed,
        "accuracy": model.accuracy(*dataset.test),
        "validation_accuracy": model.accuracy(*dataset.validation),
        "parameters": _learned(model),
        "stored_parameters": model.stored_parameters,
        "flops": model.flops,
        "train_s": seconds,
    }


def _learned(model):
    """Numbers that training has learned, also where a layer keeps something smaller of them."""
    return sum(
        leaf.outline().size if isinstance(leaf, Kept) else leaf.parameters
        for leaf in model.layers.leaves()
    )
