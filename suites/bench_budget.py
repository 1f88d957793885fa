"""Models of digits, sound and text for `convgrad choose`; those of images are in pareto."""

from convgrad.suites.studies.budget import RECIPES
from convgrad.suites.studies.study import SEEDS, Study
from convgrad.suites.suite import bench

__all__ = ["SUITE", "bench"]

SUITE = Study("budget", RECIPES, SEEDS)
