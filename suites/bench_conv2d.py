"""`conv2d` over published layers, and over filter size, channels and batch, one at a time."""

from convgrad.suites.layers import BATCHES, CHANNELS, FILTER_SIZES, PUBLISHED, RESNET, square
from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways

__all__ = ["SUITE", "bench"]

PHOTOGRAPH = [
    {
        "channels": 3,
        "height": 427,
        "width": 640,
        "filters": 16,
        "filter_height": 7,
        "filter_width": 7,
        "stride": 2,
    }
]

SUITE = Suite(
    operation="conv2d",
    baseline="im2col",
    presets={
        "smoke": [Axes([square(14, 3, channels=16, filters=16)])],
        "laptop": [
            Axes(PUBLISHED),
            Axes([FILTER_SIZES[0], *FILTER_SIZES[1::2]]),
            Axes(BATCHES[1:]),
            *both_ways(RESNET[1:2]),
        ],
        "thorough": [
            Axes(
                [*PUBLISHED, *FILTER_SIZES, *CHANNELS, *BATCHES], ("float32", "float64"), (1, ALL)
            ),
            Axes([{**layer, "batch": 8} for layer in PUBLISHED], ("float32",), (1, ALL)),
            Axes(PHOTOGRAPH, ("float32", "float64"), (1, ALL), data="photograph"),
        ],
    },
)
