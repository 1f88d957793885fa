"""`convolve` of a series: signal length and taps, a recording, and both ends of both."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways, grid

__all__ = ["SUITE", "bench"]

TAPS = [(3,), (9,), (33,), (129,), (1025,)]

SUITE = Suite(
    operation="convolve",
    baseline="scipy_direct",
    presets={
        "smoke": [Axes(grid(signal=[(10_000,)], taps=[(33,)]))],
        "laptop": [
            Axes(grid(signal=[(100_000,)], taps=TAPS)),
            Axes(grid(signal=[(10_000,), (1_000_000,)], taps=[(33,)])),
            *both_ways(grid(signal=[(100_000,)], taps=[(33,)])),
            Axes(
                grid(signal=[(12_000,)], taps=[(31,)], mode=["same"]),
                data="membrane-smooth",
            ),
        ],
        "thorough": [
            Axes(
                grid(
                    signal=[(1_000,), (10_000,), (100_000,), (1_000_000,), (10_000_000,)],
                    taps=[*TAPS, (8193,), (32769,), (131073,)],
                ),
                ("float32", "float64"),
                (1, ALL),
            ),
            Axes(
                grid(signal=[(12_000,)], taps=[(7,), (31,), (127,)], mode=["same"]),
                ("float32", "float64"),
                data="membrane-smooth",
            ),
        ],
    },
)
