"""Depth: stages of convolution below, dense layers above; where along the network each pays."""

from itertools import product

from convgrad.suites.studies.making import joined, trained
from convgrad.suites.studies.plans import PLANS


def _recipes(preset, data, stages, widths):
    """Every number of stages under every head, and the two ends in one."""
    plan = PLANS[preset][data]
    trunks = [stages[:depth] for depth in range(len(stages) + 1)]
    return (
        *trained(data, plan, product(trunks, [(), *((width,) for width in widths)])),
        *(joined(data, plan, stages[:depth]) for depth in (1, 2)),
    )


def _both(preset):
    return (
        *_recipes(preset, "mnist", (8, 16, 32), (64,)),
        *_recipes(preset, "digits", (8, 16, 32), (32,)),
    )


RECIPES = {
    "smoke": _recipes("smoke", "digits", (4, 8), (8,)),
    "laptop": _both("laptop"),
    "thorough": _both("thorough"),
}
