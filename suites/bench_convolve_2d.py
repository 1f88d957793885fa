"""`convolve` of an image: side and filter size, rank 1, and two filters over a photograph."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, grid

__all__ = ["SUITE", "bench"]

FILTERS = [(3, 3), (9, 9), (27, 27)]
PHOTOGRAPH = (427, 640)

SUITE = Suite(
    operation="convolve",
    baseline="scipy_direct",
    presets={
        "smoke": [],
        "laptop": [
            Axes(grid(signal=[(512, 512)], taps=FILTERS)),
            Axes(grid(signal=[(1024, 1024)], taps=[(9, 9)])),
            Axes(grid(signal=[(512, 512)], taps=[(9, 9)]), threads=(1,)),
            Axes(grid(signal=[(1024, 1024)], taps=[(9, 9)], rank=[1])),
            Axes(grid(signal=[PHOTOGRAPH], taps=[(9, 9)], mode=["same"]), data="photograph-blur"),
        ],
        "thorough": [
            Axes(
                grid(
                    signal=[(128, 128), (512, 512), (1024, 1024), (2048, 2048), (4096, 4096)],
                    taps=[*FILTERS, (5, 5), (15, 15), (63, 63), (127, 127)],
                ),
                ("float32", "float64"),
                (1, ALL),
            ),
            Axes(
                grid(
                    signal=[(512, 512), (1024, 1024), (4096, 4096)],
                    taps=[(9, 9), (27, 27), (63, 63)],
                    rank=[1],
                ),
                ("float32", "float64"),
                (1, ALL),
            ),
            Axes(
                grid(signal=[PHOTOGRAPH], taps=[(9, 9), (25, 25)], mode=["same"]),
                ("float32", "float64"),
                (1, ALL),
                data="photograph-blur",
            ),
            Axes(
                grid(signal=[PHOTOGRAPH], taps=[(5, 5)], mode=["same"]),
                ("float32", "float64"),
                (1, ALL),
                data="photograph-edge",
            ),
        ],
    },
)
