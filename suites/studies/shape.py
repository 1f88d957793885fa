"""Shape: one map in many parameterisations, all else the same, from millions of numbers to 68."""

from functools import partial

from convgrad.suites.studies import maps
from convgrad.suites.studies.recipe import Recipe, Schedule

_BEFORE, _AFTER = 4, 8
"""Channels of the map; at the 14 x 14 places of a pooled MNIST image 784 inputs, 1568 outputs."""

MAPS = (
    ("convolution", "convolution", maps.convolution),
    ("dense", "dense", maps.dense),
    ("dense, rank 16", "low rank", partial(maps.low_rank, rank=16)),
    ("local", "local", maps.local),
    ("convolution, 2 groups", "convolution", partial(maps.convolution, groups=2)),
    ("columns, then rows", "low rank", partial(maps.rows_of_columns, rank=4)),
    ("convolution, rank 2", "low rank", partial(maps.few_filters, rank=2)),
    ("depthwise separable", "separable", maps.separable),
)
"""Name, family, and what makes it."""
_EVERY = "dense"
"""The one that all are compared to: it could learn to be any of the others."""


def _recipes(data, training):
    return tuple(
        Recipe(
            *(name, data, family, maps.MapBetween(_BEFORE, _AFTER, make), training),
            compared_to="" if name == _EVERY else _EVERY,
        )
        for name, family, make in MAPS
    )


RECIPES = {
    "smoke": _recipes("digits", Schedule(4, step=0.005, batch=32)),
    "laptop": _recipes("mnist", Schedule(8, step=0.003)),
    "thorough": _recipes("mnist", Schedule(30, step=0.002)),
}
