"""The layers that the suites of `conv2d` and of its gradients share."""

from convgrad import kernels
from convgrad.suites.suite import ALL, Axes, both_ways

RESNET = [
    kernels.operation("conv2d").named_cases[name]
    for name in (
        "ResNet-18 stage 1",
        "ResNet-18 stage 2",
        "ResNet-18 stage 3",
        "ResNet-18 stage 4",
    )
]
PUBLISHED = [
    sizes for name, sizes in kernels.operation("conv2d").named_cases.items() if name != "tiny"
]


def square(side, filter_size, **sizes):
    """Sizes of a layer with square images and filters."""
    return {
        "height": side,
        "width": side,
        "filter_height": filter_size,
        "filter_width": filter_size,
        **sizes,
    }


FILTER_SIZES = [square(28, size, channels=32, filters=32, batch=4) for size in (1, 3, 5, 7)]
CHANNELS = [square(28, 3, channels=count, filters=count, batch=4) for count in (4, 16, 64)]
BATCHES = [square(28, 3, channels=32, filters=32, batch=count) for count in (1, 16)]

GRADIENT_PRESETS = {
    "smoke": [],
    "laptop": [
        Axes(RESNET[::2]),
        Axes(FILTER_SIZES[1:2]),
        *both_ways(RESNET[1:2]),
    ],
    "thorough": [
        Axes([*PUBLISHED, *FILTER_SIZES, *CHANNELS, *BATCHES], ("float32", "float64"), (1, ALL)),
    ],
}
"""Both gradients see the same layers: together with the forward pass they are a training step."""
