"""Error bounds of convolutions, by how the rounding errors of an algorithm travel."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convgrad.kernels.convolution.winograd import PRODUCTS, SAMPLES, TAPS
from convgrad.kernels.operation import gamma

FFT_STAGE = 7
"""Roundings of one butterfly stage with accurate twiddles, in units of u (Higham 2002, 24.1)."""


def direct(terms, magnitude, dtype):
    """Elementwise bound for a sum of ``terms`` products in any order.

    A product has one rounding, and each of the at most ``terms`` - 1 additions that it passes
    through one more, hence ``gamma_{K+1} * (|x| conv |k|)``, one rounding to spare; each product
    may lose a subnormal more by underflow.

    Parameters
    ----------
    terms : int
        K, the most products that one output sums.
    magnitude : ndarray
        The same convolution of absolute values.
    dtype : dtype
        Working precision.
    """
    return gamma(terms + 1, dtype) * magnitude + terms * float(np.finfo(dtype).smallest_subnormal)


def underflow(terms, signal, taps):
    """What a sum in two passes may lose besides, as its factors and inner sums may underflow.

    Each tap may be off by the smallest normal number; each inner product, which the factor of
    its column multiplies then, by a subnormal.

    Parameters
    ----------
    terms : int
        K, the most products that one output sums.
    signal, taps : ndarray
        Of the working precision.
    """
    most = (float(np.max(np.abs(a), where=np.isfinite(a), initial=0)) for a in (signal, taps))
    loudest, largest = most
    limits = np.finfo(signal.dtype)
    return terms * (float(limits.tiny) * loudest + float(limits.smallest_subnormal) * largest)


def winograd(made, images, filters, sides):
    """Elementwise bound for minimal filtering with tiles of ``made`` x ``made`` outputs.

    Every sum has its magnitude, that of the same sum of absolute values, and one rounding for
    each level of additions, at most four of a transform along one axis (constants included); of
    these there are six, and a product and C additions between (Barabasz, Anderson, Soodhalter and
    Gregg, 2020, theorem 2). The largest constants say what becomes of an underflow. Short tiles
    keep the bound: what a sample and a tap give to an output passes smaller constants there.

    Parameters
    ----------
    made : {2, 4}
    images : ndarray, shape (batch, channels, height, width)
        With their zeros.
    filters : ndarray, shape (filters, channels, 3, 3)
    sides : (int, int)
        Of the outputs.
    """
    before, taps, after = (abs(stage[made]) for stage in (SAMPLES, TAPS, PRODUCTS))
    size, tiles = len(before), [-(-side // made) for side in sides]
    lacking = [
        (0, max(count * made + size - made - n, 0)) for count, n in zip(tiles, images.shape[2:])
    ]
    pixels = np.pad(abs(images.astype(np.float64)), [(0, 0), (0, 0), *lacking])
    windows = sliding_window_view(pixels, (size, size), (2, 3))[:, :, ::made, ::made]
    windows = windows[:, :, : tiles[0], : tiles[1]]
    seen = np.einsum("ia,nctuab,jb->ijnctu", before, windows, before, optimize=True)
    weights = np.einsum("ia,kcab,jb->ijkc", taps, abs(filters.astype(np.float64)), taps)
    flat = seen.reshape(*seen.shape[:4], -1)
    sums = (weights[:, :, np.newaxis] @ flat).reshape(*flat.shape[:3], len(filters), *tiles)
    outputs = np.einsum("ai,ijnktu,bj->nktaub", after, sums, after, optimize=True)
    outputs = outputs.reshape(*outputs.shape[:2], tiles[0] * made, tiles[1] * made)
    terms, constants = images.shape[1], after.sum(axis=1).max() * before.sum(axis=1).max()
    lost = constants**2 * underflow(9 * terms, images, filters)
    return gamma(terms + 25, images.dtype) * outputs[..., : sides[0], : sides[1]] + lost


def fft(points, size, dtype):
    """Normwise bound for a convolution by forward and inverse FFT.

    Each transform has a relative error of at most ``eps = 7 u log2 N`` in the 2-norm (Higham
    2002, section 24.1). Those of the two forward transforms change no output by more than
    ``eps |x|_2 |k|_2`` each, by Cauchy and Schwarz over the frequencies; that of the inverse,
    spread evenly over the outputs as rounding errors are (Gentleman and Sande, 1966), by
    ``eps`` times an output's root mean square, which ``|x|_2 |k|_2`` bounds too. Summing over
    channels in the frequency domain keeps the form, with the norms over all channels.

    Parameters
    ----------
    points : int
        Points of the full convolution; the transform may have up to eight times as many.
    size : ndarray or float
        ``|x|_2 |k|_2``, over all that one output sums.
    dtype : dtype
        Working precision.
    """
    stages = math.log2(max(points, 2)) + 3
    return gamma(3 * FFT_STAGE * stages, dtype) * np.asarray(size, np.float64)


def norms(array, *axes):
    """2-norms over ``axes`` (all of them unless given), in float64: squares underflow float32."""
    return np.sqrt(np.square(array, dtype=np.float64).sum(axis=axes or None))
