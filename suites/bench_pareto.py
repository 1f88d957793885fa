"""Networks of many sizes, and what two good ones become: what accuracy costs."""

from convgrad.suites.studies.pareto import RECIPES
from convgrad.suites.studies.study import SEEDS, Study
from convgrad.suites.suite import bench

__all__ = ["SUITE", "bench"]

SUITE = Study("pareto", RECIPES, SEEDS)
