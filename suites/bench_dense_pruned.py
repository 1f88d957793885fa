"""`dense_pruned` over sparsity: from where on a sparse format is faster than the zeros."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, grid

__all__ = ["SUITE", "bench"]

SQUARE = {"features": [2048], "outputs": [2048]}
SPARSITIES = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99]
KEPT = {"calls": ("prepared",)}
"""A sparse format is made once, and read by every call."""

SUITE = Suite(
    operation="dense_pruned",
    baseline="numpy_zeros",
    presets={
        "smoke": [Axes(grid(batch=[8], features=[64], outputs=[32]))],
        "laptop": [
            Axes(grid(batch=[64], sparsity=SPARSITIES, **SQUARE), **KEPT),
            Axes(grid(batch=[64], sparsity=[0.9], **SQUARE), ("float64",), **KEPT),
            Axes(grid(batch=[64], sparsity=[0.9], **SQUARE), threads=(1,), **KEPT),
        ],
        "thorough": [
            Axes(
                grid(batch=[1, 64], sparsity=SPARSITIES, block=[1, 16], **SQUARE),
                ("float32", "float64"),
                (1, ALL),
                **KEPT,
            )
        ],
    },
)
