"""`dense_quantised`: 8 and 4 bits from one row, where reading the weights binds, to many."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways, grid

__all__ = ["SUITE", "bench"]

SQUARE = grid(batch=[1, 64], features=[1024], outputs=[1024])
FOUR_BITS = grid(batch=[1, 8, 64], features=[4096], outputs=[4096], bits=[4], scale_per=[32])
EIGHT_BITS = grid(batch=[1, 8, 64], features=[4096], outputs=[4096])

SUITE = Suite(
    operation="dense_quantised",
    baseline="numpy_floats",
    presets={
        "smoke": [Axes(grid(batch=[8], features=[64], outputs=[32]))],
        "laptop": both_ways(SQUARE),
        "thorough": [Axes(EIGHT_BITS + FOUR_BITS, ("float32", "float64"), (1, ALL))],
    },
)
