"""Examples of `dense`, and of its products with pruned and quantised weights."""

import itertools

import numpy as np
from hypothesis import strategies as st

from convgrad.kernels.examples.example import Example, bad_calls

QUANTISED = {
    "dense_quantised": (
        {},
        {"bits": 4},
        {"scale_per": "tensor"},
        {"bits": 4, "scale_per": 4},
        {"scale_per": 100},
    ),
    "dense_int8": ({}, {"scale_per": "tensor"}, {"input_scale": 0.02}),
}
"""Options of the products with quantised weights, taken in turn."""


def _dense(cases, name="dense", choices=({},)):
    for (title, batch, features, outputs), options in zip(cases, itertools.cycle(choices)):
        shapes = {"inputs": (batch, features), "weights": (outputs, features)}
        yield Example(name, shapes, options, title)


def _quantised(cases):
    return {name: list(_dense(cases, name, choices)) for name, choices in QUANTISED.items()}


EDGE_CASES = {
    "dense": list(
        _dense(
            [
                ("one of each", 1, 1, 1),
                ("one row", 1, 9, 6),
                ("one feature", 5, 1, 4),
                ("one output", 5, 9, 1),
                ("fewer outputs than a tile", 3, 17, 3),
                ("more outputs than a tile", 2, 16, 7),
                ("a vector and a little more", 4, 19, 8),
            ]
        )
    ),
    "dense_pruned": list(
        _dense(
            [
                ("one of each", 1, 1, 1),
                ("one row", 1, 9, 6),
                ("one feature", 5, 1, 4),
                ("one output", 5, 9, 1),
                ("a panel and one more", 2, 6, 17),
                ("more rows than lanes", 19, 7, 5),
                ("more rows than a tile of vectors", 67, 3, 4),
                ("outputs that fill panels", 3, 13, 32),
            ],
            "dense_pruned",
        )
    ),
    **_quantised(
        [
            ("one of each", 1, 1, 1),
            ("one row", 1, 9, 6),
            ("one feature", 5, 1, 4),
            ("one output", 5, 9, 1),
            ("features in fours", 3, 16, 3),
            ("a panel and one more", 2, 6, 33),
            ("more rows than a tile", 9, 7, 5),
            ("features that make no whole word", 4, 10, 8),
            ("outputs that fill panels", 3, 13, 64),
        ]
    ),
}

LARGE_CASES = {
    "dense": list(
        _dense(
            [
                ("many features", 3, 517, 131),
                ("many outputs", 5, 67, 1009),
                ("many rows", 301, 131, 33),
            ]
        )
    ),
    "dense_pruned": list(
        _dense(
            [
                ("many rows", 131, 67, 131),
                ("many features", 3, 1031, 197),
                ("many outputs", 17, 133, 1003),
            ],
            "dense_pruned",
        )
    ),
    **_quantised(
        [
            ("many rows", 31, 67, 131),
            ("many features", 3, 1031, 197),
            ("many outputs", 17, 133, 1003),
            ("few rows, two threads", 5, 517, 517),
        ]
    ),
}


@st.composite
def _draw_dense(draw):
    sides = st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 9))
    return next(_dense([("drawn at random", *draw(sides))]))


@st.composite
def _draw_pruned(draw):
    sides = draw(st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)))
    return next(_dense([("drawn at random", *sides)], "dense_pruned"))


@st.composite
def _draw_quantised(draw, name):
    sides = draw(st.tuples(st.integers(1, 20), st.integers(1, 40), st.integers(1, 70)))
    case = [("drawn at random", *sides)]
    return next(_dense(case, name, [draw(st.sampled_from(QUANTISED[name]))]))


STRATEGIES = {
    "dense": _draw_dense(),
    "dense_pruned": _draw_pruned(),
    **{name: _draw_quantised(name) for name in QUANTISED},
}

_DENSE = {"inputs": np.ones((3, 4)), "weights": np.ones((2, 4))}

_BAD_DENSE = [
    ("inputs", np.ones(4)),
    ("inputs", np.ones((3, 5))),
    ("inputs", np.ones((0, 4))),
    ("inputs", np.ones((3, 4)) * 1j),
    ("weights", np.ones((2, 4, 1))),
    ("weights", np.array([["a"]])),
]

BAD_CALLS = {
    "dense": bad_calls(_DENSE, _BAD_DENSE),
    "dense_pruned": bad_calls(_DENSE, _BAD_DENSE),
    "dense_quantised": bad_calls(
        _DENSE,
        [
            *_BAD_DENSE,
            ("bits", 3),
            ("bits", 8.0),
            ("scale_per", 0),
            ("scale_per", 2.5),
            ("scale_per", "row"),
        ],
    ),
    "dense_int8": bad_calls(
        _DENSE,
        [
            *_BAD_DENSE,
            ("scale_per", 4),
            ("scale_per", "row"),
            ("input_scale", 0.0),
            ("input_scale", float("nan")),
            ("input_scale", "large"),
        ],
    )
    + [("weights", {"inputs": np.ones((1, 140_000)), "weights": np.ones((1, 140_000))})],
}
