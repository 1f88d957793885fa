"""Examples of `fit_linear` and `fit_filter`."""

import numpy as np
from hypothesis import strategies as st

from convgrad.kernels.examples.example import Example, bad_calls


def _linear(cases):
    for title, features, outputs, options in cases:
        options = {"iterations": 3, **options}
        shapes = {"features": features, "targets": (features[0], *outputs)}
        if options.pop("start", False):
            shapes["weights"] = (features[1], *outputs)
        yield Example("fit_linear", shapes, options, title)


def _filters(cases):
    for title, signal, taps, options in cases:
        options = {"taps": taps, "iterations": 3, **options}
        shapes = {"signal": signal, "targets": signal}
        if options.pop("start", False):
            shapes["weights"] = taps
        yield Example("fit_filter", shapes, options, title)


EDGE_CASES = {
    "fit_linear": list(
        _linear(
            [
                ("one target", (9, 4), (), {}),
                ("one output as a column", (9, 4), (1,), {}),
                ("three outputs", (9, 4), (3,), {}),
                ("one feature", (7, 1), (), {}),
                ("one sample", (1, 3), (), {}),
                ("one sample, one feature", (1, 1), (2,), {}),
                ("more features than samples", (5, 23), (), {}),
                ("one iteration", (8, 5), (), {"iterations": 1}),
                ("explicit step", (8, 5), (), {"step": 0.01}),
                ("step beyond convergence", (6, 3), (), {"step": 0.5}),
                ("l2", (8, 5), (2,), {"l2": 2.5}),
                ("l1", (8, 5), (2,), {"l1": 1.5}),
                ("l1 that keeps all weights at zero", (8, 5), (), {"l1": 1e3}),
                ("l1 and l2", (12, 6), (), {"l1": 0.5, "l2": 0.5, "step": 0.02}),
                ("start weights", (8, 5), (), {"start": True}),
                ("start weights, l1, two outputs", (8, 5), (2,), {"start": True, "l1": 0.7}),
            ]
        )
    ),
    "fit_filter": list(
        _filters(
            [
                ("a series", (15,), (4,), {}),
                ("one tap", (9,), (1,), {}),
                ("one sample", (1,), (1,), {}),
                ("as many taps as samples", (6,), (6,), {}),
                ("more than twenty taps", (40,), (23,), {}),
                ("an image", (6, 7), (3, 2), {}),
                ("an image, 1 x 1", (4, 5), (1, 1), {}),
                ("an image, as large a filter", (3, 4), (3, 4), {}),
                ("an image, one row", (5, 8), (1, 3), {}),
                ("an image, one column", (8, 5), (4, 1), {}),
                ("one iteration", (12,), (3,), {"iterations": 1}),
                ("explicit step", (12,), (3,), {"step": 0.01}),
                ("step beyond convergence", (8,), (2,), {"step": 0.5}),
                ("l2", (12,), (5,), {"l2": 2.5}),
                ("l1", (12,), (5,), {"l1": 1.5}),
                ("l1 that keeps all weights at zero", (12,), (5,), {"l1": 1e3}),
                ("start weights", (12,), (4,), {"start": True}),
                (
                    "start weights, image, l1 and l2",
                    (5, 6),
                    (2, 3),
                    {"start": True, "l1": 0.3, "l2": 1},
                ),
            ]
        )
    ),
}

LARGE_CASES = {
    "fit_linear": list(
        _linear(
            [
                ("many features", (131, 517), (), {"iterations": 2, "start": True}),
                ("many samples", (6007, 67), (), {"iterations": 2}),
                ("many outputs", (501, 33), (19,), {"iterations": 2, "l1": 0.1}),
            ]
        )
    ),
    "fit_filter": list(
        _filters(
            [
                ("a long series", (9001,), (41,), {"iterations": 2}),
                ("many taps", (1500,), (301,), {"iterations": 2, "start": True}),
                ("a large image", (83, 131), (7, 9), {"iterations": 2, "l1": 0.1}),
            ]
        )
    ),
}


@st.composite
def _fit_options(draw):
    penalty = st.sampled_from((0.0, 0.0, 0.3, 2.0))
    return {
        "iterations": draw(st.integers(1, 4)),
        "step": draw(st.sampled_from((None, None, 0.02, 0.002))),
        "l2": draw(penalty),
        "l1": draw(penalty),
        "start": draw(st.booleans()),
    }


@st.composite
def _draw_linear(draw):
    features = draw(st.tuples(st.integers(1, 20), st.integers(1, 25)))
    outputs = draw(st.sampled_from(((), (1,), (3,))))
    return next(_linear([("drawn at random", features, outputs, draw(_fit_options()))]))


@st.composite
def _draw_filter(draw):
    rank = draw(st.integers(1, 2))
    signal = draw(st.tuples(*[st.integers(1, (40, 8)[rank - 1])] * rank))
    taps = tuple(draw(st.integers(1, min(n, (25, 5)[rank - 1]))) for n in signal)
    return next(_filters([("drawn at random", signal, taps, draw(_fit_options()))]))


STRATEGIES = {"fit_linear": _draw_linear(), "fit_filter": _draw_filter()}

_SIGNAL = np.arange(1.0, 7.0)

_BAD_FIT = [
    ("iterations", 0),
    ("iterations", 2.5),
    ("step", 0.0),
    ("step", -1.0),
    ("step", float("nan")),
    ("step", float("inf")),
    ("step", "fast"),
    ("l2", -0.5),
    ("l2", float("nan")),
    ("l1", -1),
    ("l1", float("inf")),
    ("weights", np.ones(9)),
    ("targets", np.ones(5)),
]

BAD_CALLS = {
    "fit_linear": bad_calls(
        {"features": np.ones((6, 2)), "targets": np.ones(6), "iterations": 2},
        [
            ("features", np.ones(6)),
            ("features", np.ones((0, 2))),
            ("features", np.full((6, 2), np.nan)),
            ("targets", np.ones((6, 1, 1))),
            *_BAD_FIT,
        ],
    ),
    "fit_filter": bad_calls(
        {"signal": _SIGNAL, "targets": _SIGNAL, "taps": 2, "iterations": 2},
        [
            ("signal", np.ones((6, 1, 1))),
            ("signal", _SIGNAL * np.inf),
            ("taps", 0),
            ("taps", 7),
            ("taps", (2, 2)),
            ("taps", 1.5),
            *_BAD_FIT,
        ],
    ),
}
