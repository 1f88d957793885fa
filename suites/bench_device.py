"""Convolution and descent at sizes that fill a device: end to end, and with data that stay."""

from convgrad.suites.layers import square
from convgrad.suites.suite import Axes, Suite, Together, bench, grid

__all__ = ["SUITE", "bench"]

CALLS = ("plain", "on device")


def _swept(operation, baseline, smoke, sizes):
    """One operation; float32, all threads."""
    presets = {"smoke": smoke, "laptop": sizes, "thorough": sizes}
    axes = {preset: [Axes(own, calls=CALLS)] for preset, own in presets.items()}
    return Suite(operation, baseline, axes)


SUITE = Together(
    [
        _swept(
            *("fit_linear", "cuda_fused", grid(samples=[3_000], features=[10], iterations=[2])),
            [
                *grid(samples=[100_000], features=[100], iterations=[100]),
                *grid(samples=[4_000_000], features=[16], iterations=[10]),
                *grid(samples=[1_000_000], features=[64], iterations=[10]),
                *grid(samples=[250_000], features=[256], iterations=[10]),
                *grid(samples=[64_000], features=[1_000], iterations=[10]),
            ],
        ),
        _swept(
            *("convolve", "cuda_direct", grid(signal=[(300,)], taps=[(9,)])),
            [
                *grid(signal=[(4_000_000,)], taps=[(3,), (33,), (257,), (1_025,)]),
                *grid(signal=[(2_048, 2_048)], taps=[(3, 3), (9, 9), (31, 31)], mode=["same"]),
            ],
        ),
        _swept(
            *("conv2d", "cuda_direct", [square(6, 3, channels=2, filters=2)]),
            [
                square(side, size, channels=channels, filters=filters, batch=32, stride=stride)
                for channels, filters, side, size, stride in (
                    *((3, 64, 224, 7, 2), (64, 64, 56, 3, 1), (128, 128, 28, 3, 1)),
                    *((256, 256, 14, 3, 1), (512, 512, 7, 3, 1), (256, 64, 56, 1, 1)),
                )
            ],
        ),
    ]
)
"""Layers are those of ResNet-18 and ResNet-50 (He, Zhang, Ren and Sun, 2016), 32 images each."""
