"""The residual network with our own kernels, and what lies between layers in one pass."""

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels.networks import residual
from convgrad.kernels.registry import get, kernel
from convgrad.kernels.validation import plain

_SMALLEST_PART = 1 << 15
"""Elements of a thread's share, some 10 us of work: less is not worth waking one."""


@njit(cache=True)
def _finish(outputs, bias, added, rectified):
    """Add bias and shortcut to planes in place, and take what is negative away."""
    for plane in range(len(outputs)):
        own, offset = outputs[plane], bias[plane]
        if added.size:
            other = added[plane]
            for i in range(own.size):
                own[i] += offset + other[i]
        else:
            for i in range(own.size):
                own[i] += offset
        if rectified:
            for i in range(own.size):
                own[i] = max(own[i], 0)


@njit(cache=True, parallel=True)
def _finish_all(outputs, bias, added, rectified, parts):
    for part in prange(parts):
        begin, end = part * len(outputs) // parts, (part + 1) * len(outputs) // parts
        beside = added[begin:end] if added.size else added
        _finish(outputs[begin:end], bias[begin:end], beside, rectified)


@njit(cache=True)
def _pool(planes, pooled):
    """Maxima of three rows first, then of three columns, at every other place."""
    _, height, width = planes.shape
    column = np.empty(width + 2, planes.dtype)
    column[0] = column[width + 1] = -np.inf
    for plane in range(len(planes)):
        for y in range(pooled.shape[1]):
            middle = planes[plane, 2 * y]
            above = planes[plane, max(2 * y - 1, 0)]
            below = planes[plane, min(2 * y + 1, height - 1)]
            for x in range(width):
                column[x + 1] = max(max(above[x], middle[x]), below[x])
            row = pooled[plane, y]
            for x in range(len(row)):
                row[x] = max(max(column[2 * x], column[2 * x + 1]), column[2 * x + 2])


@njit(cache=True, parallel=True)
def _pool_all(planes, pooled, parts):
    for part in prange(parts):
        begin, end = part * len(planes) // parts, (part + 1) * len(planes) // parts
        _pool(planes[begin:end], pooled[begin:end])


@njit(cache=True, fastmath={"reassoc", "contract"})
def _score(features, head, scores):
    """One product a class: BLAS would do, but its threads would hold up the next convolution."""
    for image in range(len(features)):
        for label in range(len(head)):
            total = scores.dtype.type(0)
            for i in range(features.shape[1]):
                total += features[image, i] * head[label, i]
            scores[image, label] = total


class _Arithmetic:
    """Convolutions by ``auto``, finished in the array that they came in."""

    def __init__(self):
        self.convolution = get("conv2d", "auto")

    def convolve(self, images, layer, filters, bias, added=None, rectified=True):
        zeros = layer.filters[2] // 2
        padding = (zeros, zeros), (zeros, zeros)
        outputs = self.convolution.function(
            images, filters, stride=layer.stride, padding=padding, dilation=1, groups=1
        )
        planes = _planes(outputs)
        offsets = np.tile(bias, len(images))
        beside = planes[:0] if added is None else _planes(added)
        _finish_all(planes, offsets, beside, rectified, _parts(planes))
        return outputs

    def pool(self, images):
        batch, channels, height, width = images.shape
        pooled = np.empty((batch, channels, (height + 1) // 2, (width + 1) // 2), images.dtype)
        planes = images.reshape(-1, height, width)
        _pool_all(planes, pooled.reshape(-1, *pooled.shape[2:]), _parts(planes))
        return pooled


def _planes(images):
    return images.reshape(images.shape[0] * images.shape[1], -1)


def _parts(planes):
    return min(numba.get_num_threads(), max(planes.size // _SMALLEST_PART, 1))


@kernel("residual_network", family="numba", algorithm="any")
def auto_layers(images, head, parameters, *, widths, blocks):
    """Convolutions as ``auto`` of `conv2d` chooses them; bias, shortcut and rectifier in one pass.

    Filters are packed or transformed in every call. Between layers, outputs are read and written
    once in the array that they came in.
    """
    seen = residual.features(_Arithmetic(), images, plain(parameters), widths, blocks)
    scores = np.empty((len(images), len(head)), images.dtype)
    _score(seen, plain(head), scores)
    return scores
