"""How far ahead of PyTorch our convolution layers are, over sizes drawn at random."""

from functools import partial

from convgrad.suites.aims import Aim, AimSuite, log_uniform
from convgrad.suites.layers import DEEPBENCH, MOBILENET, RESNET_50, VGG_16, square
from convgrad.suites.suite import bench

__all__ = ["SUITE", "bench"]

_TORCH = ("torch", "torch_channels_last")
_GRADIENT = "numba_parallel", "numba_blocked"
_DIRECT = (*_GRADIENT, "numba_few_channels", "numba_depthwise")
_WINOGRAD = ("winograd_4x4", "winograd_2x2")
_MOST_FLOPS = 2e10
"""Of a layer: some tenths of a second. Larger ones are drawn again."""
_SLOWEST_S = 2.0
"""A call of PyTorch's ResNet-18 on eight images takes less, on one thread of a slow processor."""


def _layer(random, side=3, stride=1, channels=(16, 512), batch=(1, 32)):
    while True:
        size, images = log_uniform(random, max(7, side), 112), log_uniform(random, *batch)
        count, filters = (log_uniform(random, *channels) for _ in range(2))
        if 2 * (side * size / stride) ** 2 * images * count * filters <= _MOST_FLOPS:
            sizes = {"batch": images, "channels": count, "filters": filters, "stride": stride}
            return square(size, side, **sizes)


def _first(random):
    side, stride = ((3, 1), (7, 2))[random.integers(2)]
    sizes = {"channels": int(random.integers(1, 5)), "filters": log_uniform(random, 3, 64)}
    return square(
        log_uniform(random, 64, 224), side, stride=stride, batch=log_uniform(random, 1, 8), **sizes
    )


def _depthwise(random):
    count = log_uniform(random, 16, 512)
    sizes = {"channels": count, "filters": count, "groups": count}
    side, stride = int(random.choice([3, 5])), int(random.choice([1, 2]))
    batch = log_uniform(random, 1, 8)
    return square(log_uniform(random, 7, 112), side, stride=stride, batch=batch, **sizes)


def _any(random):
    side, stride = ((3, 1), (1, 1), (5, 1), (7, 1), (3, 2), (1, 2))[random.integers(6)]
    return _layer(random, side, stride)


def _network(images, random):
    return {"batch": images}


_PUBLISHED = [
    {"batch": images, **layer}
    for layer in (*RESNET_50, *VGG_16, *MOBILENET, *DEEPBENCH)
    for images in (1, 8)
]
_KINDS = {
    "3 x 3": _layer,
    "1 x 1": partial(_layer, side=1),
    "5 x 5": partial(_layer, side=5),
    "7 x 7": partial(_layer, side=7),
    "3 x 3, stride 2": partial(_layer, stride=2),
    "1 x 1, stride 2": partial(_layer, side=1, stride=2),
}
_WIDE = partial(_layer, channels=(64, 512))
_MIDDLE = partial(_layer, channels=(64, 256))

SUITE = AimSuite(
    aims=(
        *(
            Aim(f"conv2d direct, {kind}", "conv2d", draw, _DIRECT, _TORCH, ratio=1.0)
            for kind, draw in _KINDS.items()
        ),
        *(
            Aim(
                f"conv2d direct, from 64 channels{also}",
                *("conv2d", _WIDE, _DIRECT, ()),
                roof=0.9,
                call=call,
            )
            for also, call in (("", "plain"), (", prepared", "prepared"))
        ),
        Aim(
            *("conv2d direct, from 64 channels, float64", "conv2d", _WIDE, _DIRECT, ()),
            roof=0.9 * 0.9,
            dtype="float64",
        ),
        *(
            Aim(
                f"conv2d Winograd, {many}{', prepared' * (call == 'prepared')}",
                *("conv2d", partial(_MIDDLE, batch=batch), _WINOGRAD, _TORCH),
                ratio=ratio,
                call=call,
            )
            for many, batch, ratio in (("batch 8 to 32", (8, 32), 2.2), ("batch 1", (1, 1), 1.6))
            for call in ("plain", "prepared")
        ),
        Aim(
            *("conv2d, first layer", "conv2d", _first, _DIRECT, _TORCH),
            ratio=1.0,
        ),
        Aim("conv2d, depthwise", "conv2d", _depthwise, _DIRECT, _TORCH, ratio=1.3),
        *(
            Aim(
                *(f"conv2d{how}, published layers", "conv2d", _PUBLISHED, ours, _TORCH),
                ratio=ratio,
                nowhere_below=0.9,
                often=8,
            )
            for how, ours, ratio in (
                ("", (*_DIRECT, *_WINOGRAD), 1.4),
                (" direct", _DIRECT, 1.0),
            )
        ),
        Aim(
            *("filter gradient", "conv2d_filter_gradient", _any, _GRADIENT, _TORCH),
            ratio=1.0,
        ),
        Aim(
            *("input gradient", "conv2d_input_gradient", _any, _GRADIENT, _TORCH),
            ratio=1.0,
        ),
        Aim(
            *("input gradient, 3 x 3", "conv2d_input_gradient", _MIDDLE),
            *((*_GRADIENT, *_WINOGRAD), _TORCH),
            ratio=1.8,
        ),
        *(
            Aim(
                *(f"{of} gradient, depthwise", f"conv2d_{of}_gradient", _depthwise),
                *(("numba_depthwise",), _TORCH),
                ratio=1.3,
            )
            for of in ("filter", "input")
        ),
        *(
            Aim(
                *(f"ResNet-18, {images} image{'s' * (images > 1)}", "residual_network"),
                *(partial(_network, images), ("auto_layers",), _TORCH),
                ratio=1.0,
            )
            for images in (1, 8)
        ),
    ),
    counts={"smoke": 1, "laptop": 3, "thorough": 12},
    slowest_call_s=_SLOWEST_S,
)
