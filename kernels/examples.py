"""Arguments that try a kernel: the edge cases of every operation, and strategies that draw more.

What the contract (`convgrad.kernels.contract`) runs over. Shapes are small, so that loops in
Python keep up; hypothesis is needed, and imported by nothing else here.
"""

import itertools
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from hypothesis import strategies as st

from convgrad.kernels.guard import guarded
from convgrad.kernels.networks import residual
from convgrad.kernels.registry import operation

LAYER = "conv2d", "conv2d_filter_gradient", "conv2d_input_gradient"
CONVOLUTIONS = *LAYER, "conv2d_int8"
LOCAL = (
    "locally_connected",
    "locally_connected_filter_gradient",
    "locally_connected_input_gradient",
)
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


@dataclass(frozen=True)
class Example:
    """Arguments of an operation without the numbers in the arrays.

    Attributes
    ----------
    operation : str
    shapes : dict of str to tuple of int
        Shapes of the arrays by argument name, start weights among them.
    options : dict
        The other arguments.
    title : str
        What it is an example of.
    """

    operation: str
    shapes: dict
    options: dict = field(default_factory=dict)
    title: str = "drawn at random"

    def __str__(self):
        shapes = (f"{name} of shape {shape}" for name, shape in self.shapes.items())
        options = (f"{name}={value!r}" for name, value in self.options.items())
        return f"{', '.join([*shapes, *options])} ({self.title})"

    def arrays(self, *dtypes, layout="contiguous", seed=0, scale=1.0):
        """Draw the arrays, as a dict by argument name.

        Parameters
        ----------
        *dtypes : str
            One for all arrays, or one for each, repeated in order.
        layout : str
            How they lie in memory: a key of `LAYOUTS`.
        seed : int
        scale : float
            Standard deviation of floats; integers lie in -9..9.
        """
        generator = np.random.default_rng(seed)
        return {
            name: LAYOUTS[layout](_draw(generator, shape, np.dtype(dtype), scale))
            for (name, shape), dtype in zip(self.shapes.items(), itertools.cycle(dtypes))
        }


def _draw(generator, shape, dtype, scale):
    if dtype.kind == "f":
        return (scale * generator.standard_normal(shape)).astype(dtype)
    least, most = {"b": (0, 1), "u": (0, 9), "i": (-9, 9)}[dtype.kind]
    return generator.integers(least, most, shape, endpoint=True).astype(dtype)


def _strided(array):
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _reversed(array):
    return np.flip(np.flip(array).copy())


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def _misaligned(array):
    room = np.empty(array.nbytes + 1, np.uint8)
    moved = room[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def _channels_last(array):
    return (
        np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1) if array.ndim > 2 else array.T.copy().T
    )


def _broadcast(array):
    return np.broadcast_to(array[:1], array.shape)


LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "strided": _strided,
    "reversed": _reversed,
    "read-only": _read_only,
    "misaligned": _misaligned,
    "channels-last": _channels_last,
    "broadcast": _broadcast,
    "before a guard page": guarded,
    "behind a guard page": partial(guarded, at="start"),
}
"""Ways in which the same numbers may lie in memory (broadcast: the first entry, repeated)."""


def _convolutions(pairs):
    """Every pair of shapes in every mode; "valid" where one operand fits into the other."""
    for title, signal, taps in pairs:
        fits = all(map(int.__ge__, signal, taps)) or all(map(int.__le__, signal, taps))
        for mode in ("full", "same", "valid") if fits else ("full", "same"):
            shapes = {"signal": signal, "taps": taps}
            yield Example("convolve", shapes, {"mode": mode}, title)


def _layer(name, sizes, title):
    """An operation of a convolution layer; padding stays as it was given."""
    shapes, options = operation(name).shapes(**{**operation(name).sizes, **sizes})
    return Example(name, shapes, {**options, "padding": sizes.get("padding", "same")}, title)


def _layers(cases):
    names = "channels", "height", "width", "filters", "filter_height", "filter_width"
    return {
        name: [_layer(name, dict(zip(names, six)) | more, title) for title, six, more in cases]
        for name in CONVOLUTIONS
    }


def _dense(cases, name="dense", choices=({},)):
    for (title, batch, features, outputs), options in zip(cases, itertools.cycle(choices)):
        shapes = {"inputs": (batch, features), "weights": (outputs, features)}
        yield Example(name, shapes, options, title)


def _quantised(cases):
    return {name: list(_dense(cases, name, choices)) for name, choices in QUANTISED.items()}


def _local(cases):
    names = "batch", "channels", "height", "width", "filters", "filter_height", "filter_width"
    return {
        name: [
            _layer(name, dict(zip(names, seven)) | {"padding": padding}, title)
            for title, seven, padding in cases
        ]
        for name in LOCAL
    }


def _networks(cases):
    """A residual network: images, widths, blocks, classes."""
    for title, images, widths, blocks, classes in cases:
        shapes = {
            "images": images,
            "head": (classes, widths[-1]),
            "parameters": (residual.count(images[1], widths, blocks),),
        }
        yield Example("residual_network", shapes, {"widths": widths, "blocks": blocks}, title)


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
    **_layers(
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
    ),
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
    **_local(
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
    ),
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
"""For each operation, the arguments at which implementations tend to be wrong."""

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
    **_layers(
        [
            ("depthwise", (37, 17, 18, 37, 3, 3), {"groups": 37}),
            ("many channels", (19, 13, 11, 35, 3, 3), {"batch": 2}),
            ("513 channels", (513, 4, 5, 3, 3, 3), {}),
            ("a large image", (3, 41, 75, 5, 5, 5), {"stride": 2}),
            ("wide rows", (2, 5, 301, 3, 3, 7), {"padding": "valid", "dilation": 2}),
            ("1 x 1 filters", (67, 9, 7, 33, 1, 1), {}),
        ]
    ),
    "dense": list(
        _dense(
            [
                ("many features", 3, 517, 131),
                ("many outputs", 5, 67, 1009),
                ("many rows", 301, 131, 33),
            ]
        )
    ),
    **_local(
        [
            ("many filters", (3, 3, 9, 7, 19, 3, 3), "same"),
            ("many channels, a batch", (35, 19, 7, 6, 5, 3, 3), "same"),
            ("a large image", (2, 3, 33, 41, 5, 5, 5), "valid"),
        ]
    ),
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
    "residual_network": list(
        _networks(
            [
                ("small images", (2, 3, 24, 24), (8,), (1,), 10),
                ("a large image", (1, 3, 95, 97), (24, 40), (2, 1), 100),
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
"""For each operation, sizes with odd remainders that fill blocks, vectors and threads.

The first of each is one that loops in Python manage.
"""


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


@st.composite
def _draw_layer(draw, name):
    stride, dilation, groups = (draw(st.integers(1, most)) for most in (3, 2, 3))
    zeros = st.integers(0, 3)
    pair = st.tuples(zeros, zeros)
    padding = draw(st.one_of(st.sampled_from(("same", "valid")), zeros, st.tuples(pair, pair)))
    sizes = {
        "batch": draw(st.integers(1, 2)),
        "channels": groups * draw(st.integers(1, 3)),
        "filters": groups * draw(st.integers(1, 3)),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    for axis, side in enumerate(("height", "width")):
        taps = draw(st.integers(1, 4))
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
    return _layer(name, sizes, "drawn at random")


@st.composite
def _draw_dense(draw):
    sides = st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 9))
    return next(_dense([("drawn at random", *draw(sides))]))


@st.composite
def _draw_local(draw, name):
    taps = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    sides = [draw(st.integers(least, least + 4)) for least in taps]
    batch, channels, filters = (draw(st.integers(1, most)) for most in (18, 3, 6))
    padding = draw(st.sampled_from(("same", "valid", 1, ((0, 2), (1, 0)))))
    cases = _local([("drawn at random", (batch, channels, *sides, filters, *taps), padding)])
    return cases[name][0]


@st.composite
def _draw_pruned(draw):
    sides = draw(st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)))
    return next(_dense([("drawn at random", *sides)], "dense_pruned"))


@st.composite
def _draw_quantised(draw, name):
    sides = draw(st.tuples(st.integers(1, 20), st.integers(1, 40), st.integers(1, 70)))
    case = [("drawn at random", *sides)]
    return next(_dense(case, name, [draw(st.sampled_from(QUANTISED[name]))]))


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


@st.composite
def _draw_network(draw):
    stages = draw(st.integers(1, 3))
    counts = [st.tuples(*[st.integers(1, most)] * stages) for most in (9, 2)]
    images = draw(st.tuples(*(st.integers(1, most) for most in (2, 4, 20, 20))))
    drawn = "drawn at random", images, *map(draw, counts), draw(st.integers(1, 5))
    return next(_networks([drawn]))


@st.composite
def arrays_options(draw):
    """Draw (dtypes, other arguments) of `Example.arrays`."""
    dtype = st.sampled_from(("float32", "float64", "float32", "float64", "int16"))
    dtypes = draw(st.lists(dtype, min_size=1, max_size=2))
    return dtypes, {
        "layout": draw(st.sampled_from(list(LAYOUTS))),
        "seed": draw(st.integers(0, 1000)),
        "scale": draw(st.sampled_from((1.0, 1e-3, 100.0))),
    }


STRATEGIES = {
    "convolve": _draw_convolve(),
    **{name: _draw_layer(name) for name in CONVOLUTIONS},
    "dense": _draw_dense(),
    **{name: _draw_local(name) for name in LOCAL},
    "fit_linear": _draw_linear(),
    "fit_filter": _draw_filter(),
    "residual_network": _draw_network(),
    "dense_pruned": _draw_pruned(),
    **{name: _draw_quantised(name) for name in QUANTISED},
}
"""For each operation, a hypothesis strategy that draws valid `Example`s."""


def _bad(good, cases):
    """Change one argument of good ones at a time."""
    return [(argument, {**good, argument: value}) for argument, value in cases]


_SIGNAL = np.arange(1.0, 7.0)
_IMAGES = np.ones((1, 4, 5, 5))
_FILTERS = np.ones((2, 4, 3, 3))
_GRADIENT = np.ones((1, 2, 3, 3))
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
_LOCAL_FILTERS = np.ones((3, 3, 2, 4, 3, 3))
_BAD_PADDING = [("padding", "full"), ("padding", -1), ("padding", (1, 2, 3))]
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
    ("weights", np.full(2, np.nan)),
    ("targets", np.array([1, 2, np.inf, 4, 5, 6])),
    ("targets", np.ones(5)),
]
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
    "convolve": _bad(
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
    "conv2d": _bad(
        {"images": _IMAGES, "filters": _FILTERS},
        [
            ("images", np.ones((5, 5))),
            ("images", np.ones((1, 3, 5, 5))),
            ("images", _IMAGES * 1j),
            ("filters", np.ones((2, 4, 3))),
            ("filters", np.ones((2, 4, 0, 3))),
            *_BAD_LAYER,
        ],
    )
    + [("filter size", {"images": _IMAGES, "filters": np.ones((2, 4, 6, 3))})],
    "conv2d_int8": _bad(
        {"images": _IMAGES, "filters": _FILTERS},
        [
            ("images", np.ones((1, 3, 5, 5))),
            ("filters", np.ones((2, 4, 0, 3))),
            *_BAD_LAYER,
            ("scale_per", "output"),
            ("input_scale", -1.0),
        ],
    ),
    "conv2d_filter_gradient": _bad(
        {"images": _IMAGES, "output_gradient": _GRADIENT, "filter_size": 3},
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
    "conv2d_input_gradient": _bad(
        {"output_gradient": _GRADIENT, "filters": _FILTERS, "image_size": 5},
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
    "dense": _bad(_DENSE, _BAD_DENSE),
    "locally_connected": _bad(
        {"images": _IMAGES, "filters": _LOCAL_FILTERS},
        [
            ("images", np.ones((5, 5))),
            ("images", np.ones((1, 3, 5, 5))),
            ("filters", _FILTERS),
            ("filters", np.ones((3, 4, 2, 4, 3, 3))),
            *_BAD_PADDING,
        ],
    )
    + [("filter size", {"images": _IMAGES, "filters": np.ones((1, 1, 2, 4, 6, 3))})],
    "locally_connected_filter_gradient": _bad(
        {"images": _IMAGES, "output_gradient": _GRADIENT, "filter_size": (3, 3)},
        [
            ("images", np.ones((5, 5))),
            ("output_gradient", np.ones((1, 2, 3, 4))),
            ("output_gradient", np.ones((3, 2, 3, 3))),
            ("filter_size", 3),
            ("filter_size", (3, 0)),
            *_BAD_PADDING,
        ],
    ),
    "locally_connected_input_gradient": _bad(
        {"output_gradient": _GRADIENT, "filters": _LOCAL_FILTERS, "image_size": (5, 5)},
        [
            ("output_gradient", np.ones((1, 3, 3, 3))),
            ("output_gradient", np.ones((1, 2, 3, 4))),
            ("filters", np.ones((3, 4, 2, 4, 3, 3))),
            ("image_size", 5),
            ("image_size", (5, 2.5)),
            *_BAD_PADDING,
        ],
    ),
    "fit_linear": _bad(
        {"features": np.ones((6, 2)), "targets": np.ones(6), "iterations": 2},
        [
            ("features", np.ones(6)),
            ("features", np.ones((0, 2))),
            ("features", np.full((6, 2), np.nan)),
            ("targets", np.ones((6, 1, 1))),
            *_BAD_FIT,
        ],
    ),
    "fit_filter": _bad(
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
    "residual_network": _bad(
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
    "dense_pruned": _bad(_DENSE, _BAD_DENSE),
    "dense_quantised": _bad(
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
    "dense_int8": _bad(
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
"""For each operation, calls that it rejects, with the name of the argument that is at fault."""
