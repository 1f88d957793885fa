"""Examples of `locally_connected` and of its gradients."""

import numpy as np
from hypothesis import strategies as st

from convgrad.kernels.examples.example import bad_calls
from convgrad.kernels.examples.layers import FILTERS, GRADIENT, IMAGES, layer

LOCAL = (
    "locally_connected",
    "locally_connected_filter_gradient",
    "locally_connected_input_gradient",
)


def _local(cases):
    names = "batch", "channels", "height", "width", "filters", "filter_height", "filter_width"
    return {
        name: [
            layer(name, dict(zip(names, seven)) | {"padding": padding}, title)
            for title, seven, padding in cases
        ]
        for name in LOCAL
    }


EDGE_CASES = _local(
    [
        ("3 x 3, same", (1, 2, 5, 6, 3, 3, 3), "same"),
        ("3 x 3, valid, batch of 2", (2, 2, 5, 6, 3, 3, 3), "valid"),
        ("1 channel, 1 filter", (1, 1, 6, 5, 1, 3, 3), "valid"),
        ("1 x 1 filters", (2, 3, 4, 5, 4, 1, 1), "same"),
        ("one output", (3, 2, 3, 4, 5, 3, 4), "valid"),
        ("filters larger than the image", (1, 2, 3, 2, 2, 5, 4), 2),
        ("even filters, same", (1, 2, 5, 6, 2, 4, 2), "same"),
        ("asymmetric padding", (1, 2, 4, 5, 2, 3, 3), ((0, 2), (3, 1))),
        ("padding beyond the filter", (1, 1, 3, 3, 2, 2, 2), 3),
        ("one row", (1, 2, 1, 9, 2, 1, 4), "same"),
        ("one column", (1, 2, 9, 1, 2, 4, 1), "valid"),
        ("a vector of images and one more", (17, 1, 3, 4, 5, 2, 2), "same"),
    ]
)

LARGE_CASES = _local(
    [
        ("many filters", (3, 3, 9, 7, 19, 3, 3), "same"),
        ("many channels, a batch", (35, 19, 7, 6, 5, 3, 3), "same"),
        ("a large image", (2, 3, 33, 41, 5, 5, 5), "valid"),
    ]
)


@st.composite
def _draw_local(draw, name):
    taps = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    sides = [draw(st.integers(least, least + 4)) for least in taps]
    batch, channels, filters = (draw(st.integers(1, most)) for most in (18, 3, 6))
    padding = draw(st.sampled_from(("same", "valid", 1, ((0, 2), (1, 0)))))
    cases = _local([("drawn at random", (batch, channels, *sides, filters, *taps), padding)])
    return cases[name][0]


STRATEGIES = {name: _draw_local(name) for name in LOCAL}

_LOCAL_FILTERS = np.ones((3, 3, 2, 4, 3, 3))

_BAD_PADDING = [("padding", "full"), ("padding", -1), ("padding", (1, 2, 3))]

BAD_CALLS = {
    "locally_connected": bad_calls(
        {"images": IMAGES, "filters": _LOCAL_FILTERS},
        [
            ("images", np.ones((5, 5))),
            ("images", np.ones((1, 3, 5, 5))),
            ("filters", FILTERS),
            ("filters", np.ones((3, 4, 2, 4, 3, 3))),
            *_BAD_PADDING,
        ],
    )
    + [("filter size", {"images": IMAGES, "filters": np.ones((1, 1, 2, 4, 6, 3))})],
    "locally_connected_filter_gradient": bad_calls(
        {"images": IMAGES, "output_gradient": GRADIENT, "filter_size": (3, 3)},
        [
            ("images", np.ones((5, 5))),
            ("output_gradient", np.ones((1, 2, 3, 4))),
            ("output_gradient", np.ones((3, 2, 3, 3))),
            ("filter_size", 3),
            ("filter_size", (3, 0)),
            *_BAD_PADDING,
        ],
    ),
    "locally_connected_input_gradient": bad_calls(
        {"output_gradient": GRADIENT, "filters": _LOCAL_FILTERS, "image_size": (5, 5)},
        [
            ("output_gradient", np.ones((1, 3, 3, 3))),
            ("output_gradient", np.ones((1, 2, 3, 4))),
            ("filters", np.ones((3, 4, 2, 4, 3, 3))),
            ("image_size", 5),
            ("image_size", (5, 2.5)),
            *_BAD_PADDING,
        ],
    ),
}
