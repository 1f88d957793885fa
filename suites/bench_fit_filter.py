"""`fit_filter` over signal and filter size; the blur of a photograph found again."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways, grid

__all__ = ["SUITE", "bench"]

PHOTOGRAPH = grid(signal=[(427, 640)], taps=[(9, 9)])
MEMBRANE = grid(signal=[(12_000,)], taps=[(31,)])

SUITE = Suite(
    operation="fit_filter",
    baseline="scipy_correlate",
    presets={
        "smoke": [Axes(grid(signal=[(10_000,)], taps=[(9,)]))],
        "laptop": [
            Axes(grid(signal=[(100_000,)], taps=[(9,), (65,), (513,)])),
            Axes(grid(signal=[(256, 256)], taps=[(3, 3), (11, 11)])),
            *both_ways(grid(signal=[(100_000,)], taps=[(65,)])),
            Axes(PHOTOGRAPH, data="photograph-blur"),
            Axes(MEMBRANE, ("float64",), data="membrane-smooth"),
        ],
        "thorough": [
            Axes(
                grid(
                    signal=[(10_000,), (100_000,), (1_000_000,)],
                    taps=[(9,), (33,), (129,), (513,), (1001,)],
                ),
                ("float32", "float64"),
                (1, ALL),
            ),
            Axes(
                grid(signal=[(256, 256), (1024, 1024)], taps=[(3, 3), (7, 7), (15, 15), (31, 31)]),
                ("float32", "float64"),
                (1, ALL),
            ),
            Axes(PHOTOGRAPH, ("float32", "float64"), (1, ALL), data="photograph-blur"),
            Axes(MEMBRANE, ("float32", "float64"), (1, ALL), data="membrane-smooth"),
        ],
    },
)
