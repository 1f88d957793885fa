"""A study: models that are trained, and then timed against each other like kernels."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from convgrad import kernels
from convgrad.kernels import datasets
from convgrad.kernels.data import Missing
from convgrad.kernels.models.predict import Predict
from convgrad.suites.measure.block import Block

SEEDS = {"smoke": 2, "laptop": 5, "thorough": 10}
"""Trainings of each recipe, by preset."""


@dataclass(frozen=True)
class Study:
    """Recipes, and how often each is trained.

    Attributes
    ----------
    name : str
    recipes : dict of str to sequence of Recipe
        By preset. Models that others are made from come before these.
    seeds : dict of str to int
        Trainings of each recipe, by preset.
    batches : sequence of int
        Examples in a call that is timed.
    """

    name: str
    recipes: dict
    seeds: dict
    batches: Sequence = (1,)

    operation = Predict.name

    def blocks(self, preset, *, cores, threads=(), kernel_filter=None, **_):
        """List the blocks of a preset: all models of a dataset compete in one.

        Parameters
        ----------
        preset : str
        cores : int
            Threads, unless some are named.
        threads : sequence of int, optional
        kernel_filter : callable, optional
            Says of a model, with its ``name``, ``family`` and ``device``, whether it takes part.
        """
        found, by_data = [], {}
        for recipe in self.recipes.get(preset, ()):
            shown = SimpleNamespace(name=recipe.label, family=recipe.family, device="cpu")
            if kernel_filter is None or kernel_filter(shown):
                by_data.setdefault(recipe.data, []).append(recipe.label)
        for data, names in by_data.items():
            sizes = _sizes(data)
            for batch in self.batches:
                case = kernels.Case.of(
                    self.operation, data=data, study=self.name, batch=batch, **sizes
                )
                for count in threads or [cores]:
                    found.append(Block(case, count, tuple(names), names[0]))
        return found

    def recipe(self, preset, label):
        """The recipe of a model, by the name that it has among all datasets."""
        return next(recipe for recipe in self.recipes[preset] if recipe.label == label)

    def needed(self, preset, labels):
        """Recipes of these models and of those that they are made from, in order of making."""
        recipes, needed = self.recipes[preset], set(labels)
        for recipe in reversed(recipes):
            if recipe.label in needed and recipe.base:
                needed.add(f"{recipe.data} {recipe.base}")
        return [recipe for recipe in recipes if recipe.label in needed]


def _sizes(data):
    """Sizes of a case; the operation's own where the data are missing: no model is made then."""
    try:
        dataset = datasets.load(data)
    except Missing:
        return {}
    return {"shape": dataset.test.inputs.shape[1:], "classes": dataset.classes}
