"""The residual network of He, Zhang, Ren and Sun (2016): its layers, and how they follow."""

import math
from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution whose zeros keep sides as they are, but for the stride."""

    filters: tuple
    """(filters, channels, side, side)"""
    stride: int
    halvings: int
    """How often sides were halved before it, rounded up."""


def layers(channels, widths, blocks):
    """Layers in the order in which a vector of parameters holds them.

    The first one; then of each block two, and the projection of its shortcut where it needs one.

    Parameters
    ----------
    channels : int
        Of the images.
    widths, blocks : tuple of int
        Channels and blocks of each stage. All stages but the first halve sides.
    """
    made, before, halvings = [Layer((widths[0], channels, 7, 7), 2, 0)], widths[0], 2
    for stage, (width, repeats) in enumerate(zip(widths, blocks)):
        for block in range(repeats):
            stride = 2 if stage and not block else 1
            made.append(Layer((width, before, 3, 3), stride, halvings))
            made.append(Layer((width, width, 3, 3), 1, halvings + stride - 1))
            if stride > 1 or width != before:
                made.append(Layer((width, before, 1, 1), stride, halvings))
            before, halvings = width, halvings + stride - 1
    return made


def count(channels, widths, blocks):
    """Parameters of all layers: filters, and a bias for each."""
    own = (layer.filters for layer in layers(channels, widths, blocks))
    return sum(math.prod(filters) + filters[0] for filters in own)


def split(parameters, own):
    """Views of a vector of parameters: (layer, its filters, its bias), for each of ``own``."""
    at = 0
    for layer in own:
        size, filters = math.prod(layer.filters), layer.filters[0]
        yield (
            layer,
            parameters[at : at + size].reshape(layer.filters),
            parameters[at + size : at + size + filters],
        )
        at += size + filters


def features(arithmetic, images, parameters, widths, blocks):
    """What the network makes of images: means of its last channels, (batch, widths[-1]).

    Parameters
    ----------
    arithmetic : object
        With ``convolve(images, layer, filters, bias, added=None, rectified=True)`` and
        ``pool(images)``, the maxima of 3 x 3 pixels, every other one along both axes.
    images : ndarray, shape (batch, channels, height, width)
    parameters : ndarray, shape (count(...),)
    widths, blocks : tuple of int
    """
    own = split(parameters, layers(images.shape[1], widths, blocks))
    seen = arithmetic.pool(arithmetic.convolve(images, *next(own)))
    before = widths[0]
    for stage, (width, repeats) in enumerate(zip(widths, blocks)):
        for block in range(repeats):
            inner, last, shortcut = arithmetic.convolve(seen, *next(own)), next(own), seen
            if (stage and not block) or width != before:
                shortcut = arithmetic.convolve(seen, *next(own), rectified=False)
            seen = arithmetic.convolve(inner, *last, added=shortcut)
            before = width
    return seen.mean((2, 3), dtype=seen.dtype)
