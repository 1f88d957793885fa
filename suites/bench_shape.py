"""One map in many parameterisations: what sharing, locality and low rank cost and gain."""

from convgrad.suites.studies.shape import RECIPES
from convgrad.suites.studies.study import SEEDS, Study
from convgrad.suites.suite import bench

__all__ = ["SUITE", "bench"]

SUITE = Study("shape", RECIPES, SEEDS, batches=(1, 64))
