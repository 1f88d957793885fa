"""`locally_connected` over filters, for one image and for a batch."""

from convgrad.suites.layers import LOCAL
from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways

__all__ = ["SUITE", "bench"]

SUITE = Suite(
    operation="locally_connected",
    baseline="numpy",
    presets={
        "smoke": [Axes(LOCAL[:1])],
        "laptop": both_ways(LOCAL[1:2]),
        "thorough": [Axes(LOCAL, ("float32", "float64"), (1, ALL))],
    },
)
