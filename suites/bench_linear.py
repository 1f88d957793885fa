"""Linear analysis of real data: paths over lambda, convergence, the size of a filter."""

from convgrad.suites.bench_fit_filter import MEMBRANE
from convgrad.suites.bench_fit_linear import DIABETES
from convgrad.suites.linear.suite import Extent, LinearSuite
from convgrad.suites.suite import ALL, Axes, Suite, bench

__all__ = ["SUITE", "bench"]

LINEAR, FILTER = (
    {
        "smoke": [Axes(sizes, ("float64",), data=data)],
        "laptop": [Axes(sizes, ("float64",), (1, ALL), data=data)],
        "thorough": [Axes(sizes, ("float32", "float64"), (1, ALL), data=data)],
    }
    for sizes, data in ((DIABETES, "diabetes"), (MEMBRANE, "membrane-smooth"))
)

SUITE = LinearSuite(
    suites=(
        Suite("fit_linear", "numpy", LINEAR),
        Suite("fit_filter", "scipy_correlate", FILTER),
    ),
    extents={
        "smoke": Extent(folds=3, taps=(1, 2, 4, 8), iterations=64, limit_s=0.02),
        "laptop": Extent(10, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32), 4096, 0.2),
        "thorough": Extent(10, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64), 16384, 2.0),
    },
)
