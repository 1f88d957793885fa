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


def _published(channels, filters, side, filter_size, stride=1, groups=1):
    return square(
        side, filter_size, channels=channels, filters=filters, stride=stride, groups=groups
    )


RESNET_50 = [
    _published(*layer)
    for layer in (
        *((3, 64, 224, 7, 2), (64, 64, 56, 1), (64, 64, 56, 3), (64, 256, 56, 1), (256, 64, 56, 1)),
        *((256, 128, 56, 1), (128, 128, 56, 3, 2), (128, 512, 28, 1), (256, 512, 56, 1, 2)),
        *((512, 128, 28, 1), (128, 128, 28, 3), (512, 256, 28, 1), (256, 256, 28, 3, 2)),
        *((256, 1024, 14, 1), (512, 1024, 28, 1, 2), (1024, 256, 14, 1), (256, 256, 14, 3)),
        *((1024, 512, 14, 1), (512, 512, 14, 3, 2), (512, 2048, 7, 1), (1024, 2048, 14, 1, 2)),
        *((2048, 512, 7, 1), (512, 512, 7, 3)),
    )
]
"""He, Zhang, Ren and Sun, 2016, with the stride in the 3 x 3 filters."""
VGG_16 = [
    _published(channels, filters, side, 3)
    for channels, filters, side in (
        *((3, 64, 224), (64, 64, 224), (64, 128, 112), (128, 128, 112), (128, 256, 56)),
        *((256, 256, 56), (256, 512, 28), (512, 512, 28), (512, 512, 14)),
    )
]
"""Simonyan and Zisserman, 2015."""
MOBILENET = [
    _published(3, 32, 224, 3, 2),
    *(
        layer
        for channels, filters, side, stride in (
            *((32, 64, 112, 1), (64, 128, 112, 2), (128, 128, 56, 1), (128, 256, 56, 2)),
            *((256, 256, 28, 1), (256, 512, 28, 2), (512, 512, 14, 1), (512, 1024, 14, 2)),
            (1024, 1024, 7, 1),
        )
        for layer in (
            _published(channels, channels, side, 3, stride, channels),
            _published(channels, filters, side // stride, 1),
        )
    ),
]
"""Howard et al., 2017."""
DEEPBENCH = [
    {**_published(channels, filters, height, size, stride), "width": width}
    for channels, filters, height, width, size, stride in (
        *((1, 16, 48, 480, 3, 1), (16, 32, 24, 240, 3, 1), (32, 64, 12, 120, 3, 1)),
        *((64, 128, 6, 60, 3, 1), (1, 64, 161, 700, 5, 2), (64, 64, 80, 350, 3, 1)),
        *((64, 128, 80, 350, 5, 2), (128, 128, 40, 175, 3, 1), (128, 256, 40, 175, 5, 2)),
        *((256, 256, 20, 84, 3, 1), (256, 512, 20, 84, 5, 2), (512, 512, 10, 42, 3, 1)),
        *((3, 64, 108, 108, 3, 2), (64, 64, 54, 54, 3, 1), (128, 128, 27, 27, 3, 1)),
        *((128, 256, 14, 14, 3, 1), (256, 512, 7, 7, 3, 1), (192, 32, 28, 28, 5, 1)),
        *((192, 64, 28, 28, 1, 1), (512, 48, 14, 14, 5, 1), (512, 192, 14, 14, 1, 1)),
        *((832, 256, 7, 7, 1, 1), (832, 128, 7, 7, 5, 1)),
    )
]
"""Narang and Diamos, 2017: layers of speech, faces and GoogLeNet, without those named above."""

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

LOCAL = [
    {"batch": batch, "channels": channels, "height": side, "width": side, "filters": filters}
    for batch, channels, side, filters in (
        *((2, 2, 7, 4), (64, 1, 28, 16), (64, 16, 14, 32)),
        *((1, 16, 14, 32), (1, 32, 28, 32)),
    )
]
"""Layers whose filters are not shared over space: a small one, of digits, and of one image."""
