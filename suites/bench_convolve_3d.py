"""`convolve` of a volume."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, grid

__all__ = ["SUITE", "bench"]

SUITE = Suite(
    operation="convolve",
    baseline="scipy_direct",
    presets={
        "smoke": [],
        "laptop": [
            Axes(grid(signal=[(64, 64, 64)], taps=[(3, 3, 3), (7, 7, 7)])),
        ],
        "thorough": [
            Axes(
                grid(
                    signal=[(32, 32, 32), (64, 64, 64), (128, 128, 128), (256, 256, 256)],
                    taps=[(3, 3, 3), (5, 5, 5), (7, 7, 7), (9, 9, 9), (15, 15, 15)],
                ),
                ("float32", "float64"),
                (1, ALL),
            ),
        ],
    },
)
