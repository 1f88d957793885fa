"""Stages of convolution below dense layers: where along the network each pays."""

from convgrad.suites.studies.depth import RECIPES
from convgrad.suites.studies.study import SEEDS, Study
from convgrad.suites.suite import bench

__all__ = ["SUITE", "bench"]

SUITE = Study("depth", RECIPES, SEEDS)
