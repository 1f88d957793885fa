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


def _layer(operation, random, kind):
    while True:
        sizes = _any_layer(random, kind)
        if Case.of(operation, DTYPES[0], **sizes).flops < _LAYER_FLOPS:
            return sizes


def _any_layer(random, kind):
    side, taps, stride, dilation, groups = _octaves(random, 2.8, 6.8), 3, 1, 1, 1
    channels, filters = _octaves(random, 4, 9), _octaves(random, 4, 9)
    if kind == "few channels":
        channels, filters, side = int(random.integers(1, 5)), _octaves(random, 4, 7), 3 * side
        taps, stride = int(random.choice([3, 5, 7])), int(random.integers(1, 3))
    elif kind == "depthwise":
        filters = groups = channels
        taps, stride = int(random.choice([3, 5])), int(random.integers(1, 3))
    elif kind == "grouped":
        groups = _octaves(random, 1, 5)
        channels, filters = (groups * -(-count // groups) for count in (2 * channels, filters))
        stride = int(random.integers(1, 3))
    elif kind == "other":
        taps = int(random.choice([1, 3, 5, 7]))
        stride, dilation = ((2, 1), (1, 2), (1, 1))[random.choice(3, p=[0.6, 0.1, 0.3])]
        if stride == dilation == 1:
            taps = max(taps, 5)
    else:
        taps = int(kind[0])
    return {
        **{"batch": _octaves(random, 0, 5), "channels": channels, "filters": filters},
        **{"height": side, "width": side, "filter_height": taps, "filter_width": taps},
        **{"stride": stride, "dilation": dilation, "groups": groups},
    }


_LAYERS = "1 x 1", "3 x 3", "other", "few channels", "depthwise", "grouped"
_KEPT = tuple(kind + PREPARED for kind in ("1 x 1", "3 x 3", "other", "few channels"))
SPACES = {
    "convolve": (_convolve, ("1-D", "2-D", "3-D")),
    "fit_linear": (_fit_linear, ("2-D",)),
    "fit_filter": (_fit_filter, ("1-D", "2-D")),
    **{
        name: (partial(_layer, name), kinds)
        for name, kinds in {
            "conv2d": _LAYERS + _KEPT,
            "conv2d_filter_gradient": _LAYERS,
            "conv2d_input_gradient": _LAYERS + _KEPT,
        }.items()
    },
}
"""How sizes of an operation are drawn, and for which kinds of arguments (`Operation.traits`)."""
USUAL = "convolve", "fit_linear", "fit_filter"
"""Operations that a table of a few minutes does justice to; layers have more sizes each."""
