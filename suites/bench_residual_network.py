"""A whole ResNet: what layers cost together, with all that lies between them."""

from convgrad.suites.suite import ALL, Axes, Suite, bench, both_ways, grid

__all__ = ["SUITE", "bench"]

SMALL = {"side": 32, "widths": (8, 16), "blocks": (1, 1), "classes": 10}
MIDDLE = {"side": 64, "widths": (32, 64), "blocks": (1, 1), "classes": 10}
RESNET_18, RESNET_34 = (grid(blocks=[blocks]) for blocks in ((2, 2, 2, 2), (3, 4, 6, 3)))

SUITE = Suite(
    operation="residual_network",
    baseline="auto_layers",
    presets={
        "smoke": [Axes([SMALL])],
        "laptop": [*both_ways([MIDDLE]), Axes(RESNET_18)],
        "thorough": [Axes(RESNET_18 + RESNET_34 + grid(batch=[8]), threads=(1, ALL))],
    },
)
