"""Filters from 1 to 11 taps a side, for images, sound and text."""

from convgrad.suites.studies.filter_size import RECIPES
from convgrad.suites.studies.study import SEEDS, Study
from convgrad.suites.suite import bench

__all__ = ["SUITE", "bench"]

SUITE = Study("filter_size", RECIPES, SEEDS)
