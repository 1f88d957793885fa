"""Examples of `conv2d`, of its gradients, and of `conv2d_int8`."""

import numpy as np
from hypothesis import strategies as st

from convgrad.kernels.examples.example import Example, bad_calls
from convgrad.kernels.registry import operation

LAYER = "conv2d", "conv2d_filter_gradient", "conv2d_input_gradient"
CONVOLUTIONS = *LAYER, "conv2d_int8"


def layer(name, sizes, title):
    """An operation of a convolution layer; padding stays as it was given."""
    shapes, options = operation(name).shapes(**{**operation(name).sizes, **sizes})
    return Example(name, shapes, {**options, "padding": sizes.get("padding", "same")}, title)


def _layers(cases):
    names = "channels", "height", "width", "filters", "filter_height", "filter_width"
    return {
        name: [layer(name, dict(zip(names, six)) | more, title) for title, six, more in cases]
        for name in CONVOLUTIONS
    }


EDGE_CASES = _layers(
    [
        ("3 x 3, same", (2, 5, 6, 3, 3, 3), {}),
        ("3 x 3, valid, batch of 2", (2, 5, 6, 3, 3, 3), {"batch": 2, "padding": "valid"}),
        ("1 channel, 1 filter", (1, 6, 5, 1, 3, 3), {"padding": "valid"}),
        ("1 x 1 filters", (3, 4, 5, 4, 1, 1), {"batch": 2}),
        ("1 x 1 filters, stride 2", (3, 5, 4, 2, 1, 1), {"stride": 2, "padding": "valid"}),
        ("1 x 1 image", (2, 1, 1, 3, 3, 3), {"padding": 1}),
        ("one output", (2, 3, 4, 2, 3, 4), {"padding": "valid"}),
        ("filters larger than the image", (2, 3, 2, 2, 5, 4), {"padding": 2}),
        ("even filters, same", (2, 5, 6, 2, 4, 2), {}),
        ("even filters, same, stride 2", (2, 5, 6, 2, 2, 4), {"stride": 2}),
        ("same, stride 3", (1, 7, 8, 2, 3, 3), {"stride": 3}),
        ("stride that does not divide", (2, 8, 7, 2, 3, 3), {"stride": 2, "padding": "valid"}),
        ("stride beyond the filter", (2, 9, 8, 2, 2, 2), {"stride": 3, "padding": "valid"}),
        ("dilation", (2, 8, 7, 2, 3, 2), {"dilation": 2, "padding": "valid"}),
        ("dilation, same, stride", (2, 7, 8, 2, 3, 3), {"dilation": 3, "stride": 2}),
        ("asymmetric padding", (2, 4, 5, 2, 3, 3), {"padding": ((0, 2), (3, 1))}),
        ("padding beyond the filter", (1, 3, 3, 2, 2, 2), {"padding": 3}),
        ("padding and stride", (2, 6, 5, 3, 3, 3), {"padding": 1, "stride": 2}),
        ("groups", (4, 5, 4, 6, 3, 3), {"groups": 2, "batch": 2}),
        ("depthwise", (3, 5, 6, 3, 3, 3), {"groups": 3}),
        ("depthwise, two filters a channel", (3, 5, 4, 6, 2, 3), {"groups": 3, "stride": 2}),
        (
            "depthwise, channels of two images in a vector",
            (9, 4, 5, 9, 3, 3),
            {"groups": 9, "batch": 2},
        ),
        (
            "depthwise, dilation",
            (17, 5, 6, 34, 3, 2),
            {"groups": 17, "dilation": 2, "padding": 2},
        ),
        ("one row", (2, 1, 9, 2, 1, 4), {}),
        ("one column", (2, 9, 1, 2, 4, 1), {"padding": "valid"}),
    ]
)

LARGE_CASES = _layers(
    [
        ("depthwise", (37, 17, 18, 37, 3, 3), {"groups": 37}),
        ("many channels", (19, 13, 11, 35, 3, 3), {"batch": 2}),
        ("513 channels", (513, 4, 5, 3, 3, 3), {}),
        ("a large image", (3, 41, 75, 5, 5, 5), {"stride": 2}),
        ("one row of many pixels", (64, 1, 70, 33, 3, 3), {}),
        ("wide rows", (2, 5, 301, 3, 3, 7), {"padding": "valid", "dilation": 2}),
        ("1 x 1 filters", (67, 9, 7, 33, 1, 1), {}),
    ]
)


@st.composite
def _draw_layer(draw, name):
    # Kernels of their own are for two kinds that chance would hardly ever draw; with 9 channels,
    # two images fill a vector of 16 lanes.
    kind = draw(st.sampled_from(("any", "any", "3 x 3", "depthwise")))
    stride, dilation, groups = (draw(st.integers(1, most)) for most in (3, 2, 3))
    if kind == "3 x 3":
        stride = dilation = groups = 1
    if kind == "depthwise":
        groups = 9
    zeros = st.integers(0, 3)
    pair = st.tuples(zeros, zeros)
    padding = draw(st.one_of(st.sampled_from(("same", "valid")), zeros, st.tuples(pair, pair)))
    sizes = {
        "batch": draw(st.integers(1, 2)),
        "channels": groups * (1 if kind == "depthwise" else draw(st.integers(1, 3))),
        "filters": groups * draw(st.integers(1, 3)),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    for axis, side in enumerate(("height", "width")):
        taps = 3 if kind == "3 x 3" else draw(st.integers(1, 4))
        if padding == "same":
            least = 1
        else:
            total = (
                0
                if padding == "valid"
                else 2 * padding
                if isinstance(padding, int)
                else sum(padding[axis])
            )
            least = max((taps - 1) * dilation + 1 - total, 1)
        sizes[f"filter_{side}"], sizes[side] = taps, draw(st.integers(least, least + 5))
    return layer(name, sizes, "drawn at random")


STRATEGIES = {name: _draw_layer(name) for name in CONVOLUTIONS}

IMAGES = np.ones((1, 4, 5, 5))
FILTERS = np.ones((2, 4, 3, 3))
GRADIENT = np.ones((1, 2, 3, 3))

_BAD_LAYER = [
    ("stride", 0),
    ("stride", 1.5),
    ("stride", True),
    ("dilation", -1),
    ("groups", 0),
    ("groups", 3),
    ("padding", "full"),
    ("padding", -1),
    ("padding", (1, 2, 3)),
    ("padding", ((0, 0), (0, -1))),
]

BAD_CALLS = {
    "conv2d": bad_calls(
        {"images": IMAGES, "filters": FILTERS},
        [
            ("images", np.ones((5, 5))),
            ("images", np.ones((1, 3, 5, 5))),
            ("images", IMAGES * 1j),
            ("filters", np.ones((2, 4, 3))),
            ("filters", np.ones((2, 4, 0, 3))),
            *_BAD_LAYER,
        ],
    )
    + [("filter size", {"images": IMAGES, "filters": np.ones((2, 4, 6, 3))})],
    "conv2d_int8": bad_calls(
        {"images": IMAGES, "filters": FILTERS},
        [
            ("images", np.ones((1, 3, 5, 5))),
            ("filters", np.ones((2, 4, 0, 3))),
            *_BAD_LAYER,
            ("scale_per", "output"),
            ("input_scale", -1.0),
        ],
    ),
    "conv2d_filter_gradient": bad_calls(
        {"images": IMAGES, "output_gradient": GRADIENT, "filter_size": 3},
        [
            ("images", np.ones((5, 5))),
            ("output_gradient", np.ones((1, 2, 3, 4))),
            ("output_gradient", np.ones((3, 2, 3, 3))),
            ("output_gradient", np.ones((1, 2, 3, 3), complex)),
            ("filter_size", 0),
            ("filter_size", (3, 3, 3)),
            ("filter_size", 2.0),
            *_BAD_LAYER,
        ],
    ),
    "conv2d_input_gradient": bad_calls(
        {"output_gradient": GRADIENT, "filters": FILTERS, "image_size": 5},
        [
            ("output_gradient", np.ones((1, 3, 3, 3))),
            ("output_gradient", np.ones((1, 2, 3, 4))),
            ("filters", np.ones(3)),
            ("filters", np.array([["a"]])),
            ("image_size", 0),
            ("image_size", (5,)),
            ("image_size", 5.5),
            *_BAD_LAYER,
        ],
    ),
}
