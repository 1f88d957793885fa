"""`conv2d_int8` over the stages of a residual network, from large images to many channels."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways, grid

__all__ = ["SUITE", "bench"]

STAGES = [
    sizes
    for channels, side in ((64, 56), (128, 28), (256, 14), (512, 7))
    for sizes in grid(channels=[channels], height=[side], width=[side], filters=[channels])
]

SUITE = Suite(
    operation="conv2d_int8",
    baseline="numpy_doubles",
    presets={
        "smoke": [Axes(grid(channels=[4], height=[8], width=[8], filters=[8]))],
        "laptop": both_ways(STAGES[1:3]),
        "thorough": [Axes(STAGES, ("float32", "float64"), (1, ALL))],
    },
)
