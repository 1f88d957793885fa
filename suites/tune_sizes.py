"""Sizes that ``convgrad tune`` draws, of every operation that ``auto`` serves."""

import math
from functools import partial

from convgrad.kernels import Case
from convgrad.kernels.timetable import PREPARED

DTYPES = ("float32", "float64")
_LAYER_FLOPS = 2**30
"""Of the largest layers that are drawn: some 10 ms a call."""


def _octaves(random, low, high):
    """A size between two powers of two, every octave as likely."""
    return round(2 ** random.uniform(low, high))


def _sides(random, rank, low, high, most=None):
    """Sides whose product lies between two powers of two, unequal by up to about an octave."""
    total = random.uniform(low, high)
    shares = random.normal(0, 0.4, rank)
    exponents = total / rank + shares - shares.mean()
    sides = [max(1, round(2**e)) for e in exponents]
    return tuple(sides if most is None else map(min, sides, most))


def _convolve(random, kind):
    rank = int(kind[0])
    signal = _sides(random, rank, 5 + 3 * (rank > 1), 20)
    samples = math.log2(math.prod(signal))
    taps = _sides(random, rank, 1, min(12, samples, 30 - samples), signal)
    return {"signal": signal, "taps": taps, "mode": str(random.choice(["full", "same", "valid"]))}


def _fit_linear(random, kind):
    elements = random.uniform(6, 22)
    features = _octaves(random, 1, min(10, elements - 2))
    outputs = 1 if random.random() < 0.75 else _octaves(random, 1, 5)
    iterations = _octaves(random, 0, min(7, 25 - elements))
    samples = max(2, round(2**elements / features))
    return {"samples": samples, "features": features, "outputs": outputs, "iterations": iterations}


def _fit_filter(random, kind):
    rank = int(kind[0])
    signal = _sides(random, rank, 5, 18)
    samples = math.log2(math.prod(signal))
    taps = _sides(random, rank, 1, min(10, samples, 25 - samples), signal)
    return {"signal": signal, "taps": taps, "iterations": _octaves(random, 0, 3)}


def _bounded(draw, operation, random, kind):
    """Draw until a call takes no longer than one wants to wait."""
    while True:
        sizes = draw(random, kind)
        if Case.of(operation, DTYPES[0], **sizes).flops < _LAYER_FLOPS:
            return sizes


def _any_layer(random, kind):
    side, taps, stride, dilation, groups = _octaves(random, 2.8, 6.8), 3, 1, 1, 1
    channels, filters = _octaves(random, 4, 9), _octaves(random, 4, 9)
    if kind in _FEW:
        channels, filters, side = _octaves(random, 1, 3), _octaves(random, 4, 7), 3 * side
        if kind == "one channel":
            channels, taps, stride = 1, int(random.choice([3, 5, 7])), int(random.integers(1, 3))
        elif kind == "few channels":
            taps, stride = map(int, random.choice([(3, 2), (5, 1), (5, 2), (7, 1), (7, 2)]))
    elif kind == "depthwise":
        filters = groups = channels
        taps, stride = int(random.choice([3, 5])), int(random.integers(1, 3))
    elif kind == "grouped":
        groups = _octaves(random, 1, 5)
        channels, filters = (groups * -(-count // groups) for count in (2 * channels, filters))
        stride = int(random.integers(1, 3))
    elif kind == "other":
        taps = int(random.choice([3, 5, 7]))
        stride, dilation = ((2, 1), (1, 2), (1, 1))[random.choice(3, p=[0.6, 0.1, 0.3])]
        if stride == dilation == 1:
            taps = max(taps, 5)
    else:
        taps, stride = int(kind[0]), 2 if kind.endswith("strided") else 1
    return {
        **{"batch": _octaves(random, 0, 5), "channels": channels, "filters": filters},
        **{"height": side, "width": side, "filter_height": taps, "filter_width": taps},
        **{"stride": stride, "dilation": dilation, "groups": groups},
    }


def _dense(random, kind):
    return {
        **{"batch": _octaves(random, 0, 8), "features": _octaves(random, 3, 11)},
        "outputs": _octaves(random, 2, 11),
    }


def _dense_pruned(random, kind):
    return _dense(random, kind) | {"sparsity": 1 - 2 ** random.uniform(-6, -0.5)}


def _dense_quantised(random, kind):
    scale_per = "output" if random.random() < 0.7 else _octaves(random, 4, 7)
    return _dense(random, kind) | {"bits": int(kind[0]), "scale_per": scale_per}


def _conv2d_int8(random, kind):
    return _any_layer(random, str(random.choice(_UNGROUPED)))


def _local(random, kind):
    side, taps = _octaves(random, 2, 5), int(random.choice([1, 3, 5]))
    return {
        **{"batch": _octaves(random, 0, 8), "height": side, "width": side},
        **{"channels": _octaves(random, 0, 6), "filters": _octaves(random, 0, 6)},
        **{"filter_height": taps, "filter_width": taps},
    }


_FEW = "one channel", "few channels", "few channels, 3 x 3"
_UNGROUPED = "1 x 1", "1 x 1, strided", "3 x 3", "other", *_FEW
_LAYERS = (*_UNGROUPED, "depthwise", "grouped")
_KEPT = tuple(kind + PREPARED for kind in _UNGROUPED)
SPACES = {
    "convolve": (_convolve, ("1-D", "2-D", "3-D")),
    "fit_linear": (_fit_linear, ("2-D",)),
    "fit_filter": (_fit_filter, ("1-D", "2-D")),
    **{
        name: (partial(_bounded, draw, name), kinds)
        for name, (draw, kinds) in {
            "conv2d": (_any_layer, _LAYERS + _KEPT),
            "conv2d_filter_gradient": (_any_layer, _LAYERS),
            "conv2d_input_gradient": (_any_layer, _LAYERS + _KEPT),
            "conv2d_int8": (_conv2d_int8, ("one group", "one group" + PREPARED)),
            "dense": (_dense, ("2-D",)),
            "dense_int8": (_dense, ("2-D", "2-D" + PREPARED)),
            "dense_pruned": (_dense_pruned, ("2-D", "2-D" + PREPARED)),
            "dense_quantised": (
                _dense_quantised,
                ("4 bits", "8 bits", "4 bits" + PREPARED, "8 bits" + PREPARED),
            ),
            "locally_connected": (_local, ("4-D",)),
            "locally_connected_filter_gradient": (_local, ("4-D",)),
            "locally_connected_input_gradient": (_local, ("4-D",)),
        }.items()
    },
}
"""How sizes of an operation are drawn, and for which kinds of arguments (`Operation.traits`)."""
USUAL = "convolve", "fit_linear", "fit_filter"
"""Operations that a table of a few minutes does justice to; layers have more sizes each."""
