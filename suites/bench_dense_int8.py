"""`dense_int8` from one row, where reading the weights binds, to many, where arithmetic does."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways, grid

__all__ = ["SUITE", "bench"]

SQUARE = grid(batch=[1, 64], features=[1024, 4096], outputs=[1024])

SUITE = Suite(
    operation="dense_int8",
    baseline="numpy_doubles",
    presets={
        "smoke": [Axes(grid(batch=[8], features=[64], outputs=[32]))],
        "laptop": both_ways(SQUARE[:2]),
        "thorough": [Axes(SQUARE, ("float32", "float64"), (1, ALL))],
    },
)
