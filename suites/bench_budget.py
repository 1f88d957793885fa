"""The models that `convgrad choose` has to choose from."""

from convgrad.suites.studies.budget import RECIPES
from convgrad.suites.studies.study import SEEDS, Study
from convgrad.suites.suite import bench

__all__ = ["SUITE", "bench"]

SUITE = Study("budget", RECIPES, SEEDS)
