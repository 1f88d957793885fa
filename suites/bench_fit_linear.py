"""`fit_linear` over samples x features, from a table in cache to one that fills memory."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways, grid

__all__ = ["SUITE", "bench"]

DIABETES = grid(samples=[442], features=[10], iterations=[100])

SUITE = Suite(
    operation="fit_linear",
    baseline="numpy",
    presets={
        "smoke": [Axes(grid(samples=[1_000], features=[100]))],
        "laptop": [
            Axes(grid(samples=[1_000], features=[100, 1_000])),
            Axes(grid(samples=[100_000], features=[10, 100])),
            *both_ways(grid(samples=[10_000], features=[100])),
            Axes(DIABETES, ("float64",), data="diabetes"),
        ],
        "thorough": [
            Axes(
                grid(samples=[1_000, 10_000, 100_000, 1_000_000], features=[10, 30, 100, 300]),
                ("float32", "float64"),
                (1, ALL),
            ),
            Axes(
                grid(samples=[1_000, 10_000], features=[1_000]),
                ("float32", "float64"),
                (1, ALL),
            ),
            Axes(
                grid(samples=[100_000], features=[100], outputs=[4, 16]),
                ("float32", "float64"),
                (1, ALL),
            ),
            Axes(DIABETES, ("float64",), (1, ALL), data="diabetes"),
        ],
    },
)
