"""Examples of `residual_network`."""

import numpy as np
from hypothesis import strategies as st

from convgrad.kernels.examples.example import Example, bad_calls
from convgrad.kernels.networks import residual


def _networks(cases):
    """A residual network: images, widths, blocks, classes."""
    for title, images, widths, blocks, classes in cases:
        shapes = {
            "images": images,
            "head": (classes, widths[-1]),
            "parameters": (residual.count(images[1], widths, blocks),),
        }
        yield Example("residual_network", shapes, {"widths": widths, "blocks": blocks}, title)


EDGE_CASES = {
    "residual_network": list(
        _networks(
            [
                ("one block", (1, 3, 16, 16), (4,), (1,), 3),
                ("two stages", (2, 3, 17, 15), (4, 6), (1, 1), 2),
                ("stages of the same width", (1, 1, 9, 9), (5, 5), (2, 1), 1),
                ("one pixel", (1, 2, 1, 1), (3, 4), (1, 1), 4),
                ("more rows than columns", (1, 4, 33, 8), (17,), (2,), 5),
            ]
        )
    ),
}

LARGE_CASES = {
    "residual_network": list(
        _networks(
            [
                ("small images", (2, 3, 24, 24), (8,), (1,), 10),
                ("a large image", (1, 3, 95, 97), (24, 40), (2, 1), 100),
            ]
        )
    ),
}


@st.composite
def _draw_network(draw):
    stages = draw(st.integers(1, 3))
    counts = [st.tuples(*[st.integers(1, most)] * stages) for most in (9, 2)]
    images = draw(st.tuples(*(st.integers(1, most) for most in (2, 4, 20, 20))))
    drawn = "drawn at random", images, *map(draw, counts), draw(st.integers(1, 5))
    return next(_networks([drawn]))


STRATEGIES = {"residual_network": _draw_network()}

BAD_CALLS = {
    "residual_network": bad_calls(
        {
            **{"images": np.ones((1, 3, 9, 9)), "head": np.ones((2, 4))},
            **{"parameters": np.ones(888), "widths": (4,), "blocks": (1,)},
        },
        [
            ("images", np.ones((3, 9, 9))),
            ("head", np.ones(4)),
            ("head", np.ones((2, 3))),
            ("parameters", np.ones(7)),
            ("parameters", np.ones((2, 2))),
            ("widths", 4),
            ("widths", ()),
            ("widths", (4.5,)),
            ("blocks", (1, 1)),
            ("blocks", (0,)),
        ],
    ),
}
