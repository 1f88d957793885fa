"""Examples of `convolve`."""

import numpy as np
from hypothesis import strategies as st

from convgrad.kernels.examples.example import Example, bad_calls

_SIGNAL = np.arange(1.0, 7.0)


def _convolutions(pairs):
    """Every pair of shapes in every mode; "valid" where one operand fits into the other."""
    for title, signal, taps in pairs:
        fits = all(map(int.__ge__, signal, taps)) or all(map(int.__le__, signal, taps))
        for mode in ("full", "same", "valid") if fits else ("full", "same"):
            shapes = {"signal": signal, "taps": taps}
            yield Example("convolve", shapes, {"mode": mode}, title)


EDGE_CASES = {
    "convolve": list(
        _convolutions(
            [
                ("one tap", (9,), (1,)),
                ("one sample, one tap", (1,), (1,)),
                ("one sample", (1,), (4,)),
                ("an even number of taps", (10,), (4,)),
                ("an odd number of taps", (11,), (5,)),
                ("as many taps as samples", (6,), (6,)),
                ("more taps than samples", (5,), (12,)),
                ("an image", (6, 7), (3, 2)),
                ("a 1 x 1 filter", (5, 4), (1, 1)),
                ("a filter larger than the image", (3, 4), (5, 6)),
                ("a filter taller than the image, but narrower", (3, 8), (5, 2)),
                ("a filter of one row", (6, 7), (1, 3)),
                ("a filter of one column", (6, 7), (4, 1)),
                ("a volume", (4, 5, 3), (2, 3, 2)),
                ("a 1 x 1 x 1 filter", (3, 2, 4), (1, 1, 1)),
                ("a volume larger along some axes only", (3, 1, 4), (2, 2, 2)),
            ]
        )
    ),
}

LARGE_CASES = {
    "convolve": list(
        _convolutions(
            [
                ("a long series", (5003,), (67,)),
                ("a long series, few taps", (9001,), (3,)),
                ("a long series, one vector of taps", (4001,), (16,)),
                ("many taps", (1409,), (301,)),
                ("more taps than samples", (211,), (1009,)),
                ("a large image", (83, 131), (7, 9)),
                ("a large volume", (17, 13, 37), (3, 4, 5)),
            ]
        )
    ),
}


@st.composite
def _draw_convolve(draw):
    rank = draw(st.integers(1, 3))
    sides = st.tuples(*[st.integers(1, (30, 7, 4)[rank - 1])] * rank)
    signal, taps = draw(sides), draw(sides)
    mode = draw(st.sampled_from(("full", "same", "valid")))
    if mode == "valid":
        signal, taps = tuple(map(max, signal, taps)), tuple(map(min, signal, taps))
        if draw(st.booleans()):
            signal, taps = taps, signal
    return Example("convolve", {"signal": signal, "taps": taps}, {"mode": mode})


STRATEGIES = {"convolve": _draw_convolve()}

BAD_CALLS = {
    "convolve": bad_calls(
        {"signal": _SIGNAL, "taps": np.ones(3)},
        [
            ("signal", 1.0),
            ("signal", []),
            ("signal", [[1, 2], [3]]),
            ("signal", np.ones((2, 2, 2, 2))),
            ("signal", _SIGNAL * 1j),
            ("signal", np.array(["a", "b"])),
            ("signal", np.array([None, 1], object)),
            ("signal", _SIGNAL.astype(np.longdouble)),
            ("taps", np.ones((2, 2))),
            ("taps", np.ones(0)),
            ("mode", "circular"),
            ("mode", None),
        ],
    )
    + [("taps", {"signal": np.ones((4, 2)), "taps": np.ones((2, 4)), "mode": "valid"})],
}
