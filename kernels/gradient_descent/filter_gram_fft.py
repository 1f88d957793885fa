"""Filter fit from the normal equations: lagged products of all lags by one FFT there and back."""

from functools import cache
from math import isfinite, log2, pi, prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels.address import address_of, call
from convgrad.kernels.gradient_descent.filter_gram import as_image, gram_matrix, gram_workspace
from convgrad.kernels.gradient_descent.filter_gram_descent import descend
from convgrad.kernels.registry import kernel
from convgrad.kernels.vector import broadcast, lanes_of, load, store, width

_SQRT = 3**0.5 / 2
_SMALLEST_SHARED = 1 << 14
"""Points, some 20 us of work: less is not worth waking a thread."""
_LONGEST = 1536
"""Points of a transform of which four fit into the L2 cache, as many at a time as a vector has."""


@njit(cache=True, inline="always")
def _put(work, at, real, imaginary, factors, place, lanes):
    """Store a point after multiplying it by ``factors[place]``, a complex number as two."""
    c, s = broadcast(factors[place], lanes), broadcast(factors[place + 1], lanes)
    store(work, at, real * c - imaginary * s)
    store(work, at + lanes, real * s + imaginary * c)


@njit(cache=True)
def _by_two(work, blocks, side, factors, place):
    """A stage of radix 2; it is the last one, and multiplies by ones."""
    lanes = width(work)
    for block in range(blocks):
        at = block * 4 * lanes
        a, b = load(work, at, lanes), load(work, at + lanes, lanes)
        c, d = load(work, at + 2 * lanes, lanes), load(work, at + 3 * lanes, lanes)
        store(work, at, a + c)
        store(work, at + lanes, b + d)
        store(work, at + 2 * lanes, a - c)
        store(work, at + 3 * lanes, b - d)


@njit(cache=True)
def _by_three(work, blocks, side, factors, place):
    lanes = width(work)
    half = broadcast(work.dtype.type(0.5), lanes)
    root = broadcast(work.dtype.type(_SQRT), lanes)
    apart = 2 * lanes * side
    for j in range(side):
        for block in range(blocks):
            at = 2 * lanes * j + block * 3 * apart
            ar, ai = load(work, at, lanes), load(work, at + lanes, lanes)
            br, bi = load(work, at + apart, lanes), load(work, at + apart + lanes, lanes)
            cr, ci = load(work, at + 2 * apart, lanes), load(work, at + 2 * apart + lanes, lanes)
            sr, si = br + cr, bi + ci
            store(work, at, ar + sr)
            store(work, at + lanes, ai + si)
            mr, mi = ar - half * sr, ai - half * si
            # -i sqrt(3)/2 times the difference
            dr, di = root * (bi - ci), root * (cr - br)
            _put(work, at + apart, mr + dr, mi + di, factors, place + 4 * j, lanes)
            _put(work, at + 2 * apart, mr - dr, mi - di, factors, place + 4 * j + 2, lanes)


@njit(cache=True)
def _by_four(work, blocks, side, factors, place):
    lanes = width(work)
    apart = 2 * lanes * side
    for j in range(side):
        for block in range(blocks):
            at = 2 * lanes * j + block * 4 * apart
            ar, ai = load(work, at, lanes), load(work, at + lanes, lanes)
            br, bi = load(work, at + apart, lanes), load(work, at + apart + lanes, lanes)
            cr, ci = load(work, at + 2 * apart, lanes), load(work, at + 2 * apart + lanes, lanes)
            dr, di = load(work, at + 3 * apart, lanes), load(work, at + 3 * apart + lanes, lanes)
            pr, pi, qr, qi = ar + cr, ai + ci, br + dr, bi + di
            mr, mi, nr, ni = ar - cr, ai - ci, bi - di, dr - br
            store(work, at, pr + qr)
            store(work, at + lanes, pi + qi)
            if side == 1:
                store(work, at + apart, mr + nr)
                store(work, at + apart + lanes, mi + ni)
                store(work, at + 2 * apart, pr - qr)
                store(work, at + 2 * apart + lanes, pi - qi)
                store(work, at + 3 * apart, mr - nr)
                store(work, at + 3 * apart + lanes, mi - ni)
            else:
                _put(work, at + apart, mr + nr, mi + ni, factors, place + 6 * j, lanes)
                _put(work, at + 2 * apart, pr - qr, pi - qi, factors, place + 6 * j + 2, lanes)
                _put(work, at + 3 * apart, mr - nr, mi - ni, factors, place + 6 * j + 4, lanes)


@njit(cache=True)
def _transform(work, radices, factors):
    """Transform in place, so many at a time as a vector has lanes; results come out permuted."""
    side, blocks, place = work.size // (2 * width(work)), np.int64(1), np.int64(0)
    for radix in radices:
        side //= radix
        if radix == 4:
            _by_four(work, blocks, side, factors, place)
        elif radix == 3:
            _by_three(work, blocks, side, factors, place)
        else:
            _by_two(work, blocks, side, factors, place)
        blocks *= radix
        place += 2 * (radix - 1) * side


@njit(cache=True)
def _transform_rows(signal, targets, columns, scale, plan, group, spectra):
    """Set ``spectra[:, group]`` to those of rows of ``signal + i scale targets``, so many lanes."""
    lanes = width(signal)
    points = len(spectra)
    work = np.empty(points * 2 * lanes, signal.dtype)
    work[columns * 2 * lanes :] = 0
    first = group * lanes * columns
    if first + lanes * columns <= signal.size:
        xs, ys = signal[first : first + lanes * columns], targets[first : first + lanes * columns]
        for i in range(columns):
            for lane in range(lanes):
                work[i * 2 * lanes + lane] = xs[lane * columns + i]
                work[i * 2 * lanes + lanes + lane] = scale * ys[lane * columns + i]
    else:
        work[:] = 0
        for i in range(signal.size - first):
            at = i % columns * 2 * lanes + i // columns
            work[at], work[at + lanes] = signal[first + i], scale * targets[first + i]
    _transform(work, plan[0], plan[1])
    for point in range(points):
        for part in range(2):
            at = point * spectra.shape[1] * 2 * lanes + (group * 2 + part) * lanes
            store(spectra, at, load(work, (2 * point + part) * lanes, lanes))


@njit(cache=True)
def _gather(spectra, places, points, work):
    """Take the rows of one frequency of the columns into each lane."""
    lanes = width(work)
    for group in range((points + lanes - 1) // lanes):
        for i in range(min(lanes, points - group * lanes)):
            at = (group * lanes + i) * 2 * lanes
            for part in range(2):
                for lane in range(lanes):
                    work[at + part * lanes + lane] = spectra[places[lane], group, part, i]


@njit(cache=True)
def _cross_columns(spectra, rows, plan, across, group, lags):
    """Set ``lags``, by rows but frequencies along them, of a vector of frequencies and of minus."""
    radices, factors, places = plan
    lanes = width(factors)
    points, total = len(places), len(across)
    height = lags.shape[0]
    here = np.zeros(points * 2 * lanes, factors.dtype)
    minus, cross, other = np.zeros_like(here), np.empty_like(here), np.empty_like(here)
    columns = np.empty((2, lanes), np.int64)
    for lane in range(lanes):
        frequency = min(group * lanes + lane, total // 2)
        columns[0, lane] = across[frequency]
        columns[1, lane] = across[(total - frequency) % total]
    _gather(spectra, columns[0], rows, here)
    _gather(spectra, columns[1], rows, minus)
    _transform(here, radices, factors)
    _transform(minus, radices, factors)
    quarter = broadcast(factors.dtype.type(0.25), lanes)
    for frequency in range(points):
        negative = (points - frequency) % points
        a, b = places[frequency] * 2 * lanes, places[negative] * 2 * lanes
        ar, ai = load(here, a, lanes), load(here, a + lanes, lanes)
        br, bi = load(minus, b, lanes), load(minus, b + lanes, lanes)
        # Twice the spectra of the signal and the targets: a + b*, and (a - b*) / i.
        xr, xi, yr, yi = ar + br, ai - bi, ai + bi, br - ar
        own = quarter * (xr * xr + xi * xi)
        sr, si = quarter * (yr * xr + yi * xi), quarter * (yi * xr - yr * xi)
        store(cross, frequency * 2 * lanes, own - si)
        store(cross, frequency * 2 * lanes + lanes, sr)
        store(other, negative * 2 * lanes, own + si)
        store(other, negative * 2 * lanes + lanes, sr)
    _transform(cross, radices, factors)
    _transform(other, radices, factors)
    for lag in range(height):
        at = places[(points - lag) % points] * 2 * lanes
        for lane in range(lanes):
            frequency = min(group * lanes + lane, total // 2)
            for part in range(2):
                lags[lag, part, frequency] = cross[at + part * lanes + lane]
                lags[lag, part, (total - frequency) % total] = other[at + part * lanes + lane]


@njit(cache=True)
def _finish_rows(lags, plan, group, products):
    """Transform rows of ``lags``, a vector of them, and scale the lags that are asked for."""
    radices, factors, places = plan
    lanes = width(factors)
    points = len(places)
    work = np.zeros(points * 2 * lanes, factors.dtype)
    rows = min(lanes, lags.shape[0] - group * lanes)
    for lane in range(rows):
        for part in range(2):
            for point in range(points):
                work[(point * 2 + part) * lanes + lane] = lags[group * lanes + lane, part, point]
    _transform(work, radices, factors)
    reach = products.shape[2] // 2
    for lag in range(-reach, reach + 1):
        at = places[(points - lag) % points] * 2 * lanes
        for lane in range(rows):
            for part in range(2):
                products[part, group * lanes + lane, lag + reach] = work[at + part * lanes + lane]


@njit(cache=True)
def _vectors(stage, signal, run, spectra, lags):
    """How many vectors a stage sets: of rows, of frequencies, of rows of lags."""
    if stage == 0:
        lines = (signal.size + run - 1) // run
    elif stage == 1:
        lines = spectra.shape[0] // 2 + 1
    else:
        lines = lags.shape[0]
    return (lines + width(signal) - 1) // width(signal)


@njit(cache=True)
def _set_vector(
    stage, group, signal, targets, run, scale, rows_plan, columns_plan, spectra, lags, products
):
    """Set a vector of what a stage sets: rows to frequencies, along columns to lags, and back."""
    if stage == 0:
        _transform_rows(signal, targets, run, scale, columns_plan, group, spectra)
    elif stage == 1:
        rows = (signal.size + run - 1) // run
        _cross_columns(spectra, rows, rows_plan, columns_plan[2], group, lags)
    else:
        _finish_rows(lags, columns_plan, group, products)


@njit(cache=True)
def _correlate(signal, targets, run, scale, rows_plan, columns_plan, spectra, lags, products):
    """Set ``products``: of the signal with itself, and of the targets with the signal, by lag."""
    for stage in range(3):
        for group in range(_vectors(stage, signal, run, spectra, lags)):
            own, plans = (signal, targets, run, scale), (rows_plan, columns_plan)
            _set_vector(stage, group, *own, *plans, spectra, lags, products)


@njit(cache=True, parallel=True)
def _correlate_shared(set_vector, signal, targets, run, scale, rows, columns, spectra, lags, to):
    """`_correlate`, shared by threads."""
    for stage in range(3):
        for group in prange(_vectors(stage, signal, run, spectra, lags)):
            own = np.int64(group), signal, targets, run, scale, rows, columns, spectra, lags, to
            call(set_vector, (stage, *own))


@cache
def _plan(points, dtype):
    """Radices, factors of all stages, and where each frequency comes out."""
    radices, left = [], points
    for radix in (3, 4, 2):
        while left % radix == 0:
            radices.append(radix)
            left //= radix
    factors, side = [], points
    frequency, step = np.zeros(1, np.int64), 1
    for radix in radices:
        angles = np.outer(np.arange(side // radix), np.arange(1, radix)) * (-2 * pi / side)
        factors.append(np.stack([np.cos(angles), np.sin(angles)], axis=-1).ravel())
        frequency = (frequency[:, None] + step * np.arange(radix)).ravel()
        side, step = side // radix, step * radix
    places = np.empty(points, np.int64)
    places[frequency] = np.arange(points)
    return np.array(radices), np.concatenate(factors).astype(dtype), places


@cache
def _length(least):
    """The least product of twos and threes that is not below, nor 1."""
    least = max(least, 2)
    return min(
        3**j << max(-(-least // 3**j) - 1, 0).bit_length() for j in range(least.bit_length())
    )


def _series_sides(samples, taps):
    """(Samples of a row, points along columns, points along rows) that a series is cut into."""

    def sides(points):
        run = (points + 1) // 2
        return run, _length(-(-samples // run) + 1), points

    def cost(choice):
        _, rows, columns = choice
        outside = max(rows / _LONGEST, columns / (2 * _LONGEST), 1)
        return rows * columns * (2 * log2(rows) + log2(columns)) * outside

    lengths = {_length(2 * taps << i) for i in range(20)}
    lengths |= {_length(3 * taps << i) for i in range(20)}
    return min((sides(points) for points in lengths if points < 4 * samples), key=cost)


def _cut(shape, taps):
    """(Samples of a row, rows of lags, lags of either sign along a row), points of both axes."""
    if shape[0] == 1:
        run, *points = _series_sides(shape[1], taps[1])
        return (run, 2, run - 1), points
    points = [_length(n + k - 1) for n, k in zip(shape, taps)]
    return (shape[1], taps[0], taps[1] - 1), points


def _lagged_products(signal, targets, taps):
    """`filter_gram.lagged_products`, but over all samples, and by way of the frequencies."""
    dtype, lanes = signal.dtype, lanes_of(signal.dtype)
    (run, height, reach), points = _cut(signal.shape, taps)
    rows, columns = (_plan(length, dtype) for length in points)
    # An odd number: frequencies do not fall into few sets of the cache.
    groups = -(-signal.size // (run * lanes)) | 1
    spectra = np.empty((points[1], groups, 2, lanes), dtype)
    lags = np.empty((height, 2, points[1]), dtype)
    products = np.empty((2, height, 2 * reach + 1), dtype)
    series, signal, targets = signal.shape[0] == 1, signal.ravel(), targets.ravel()
    scale = _scale(signal, targets)
    arguments = signal, targets, run, scale, rows, columns, spectra, lags, products
    if prod(points) >= _SMALLEST_SHARED:
        _correlate_shared(address_of(_set_vector, 0, 0, *arguments), *arguments)
    else:
        _correlate(*arguments)
    products[0] /= prod(points)
    products[1] /= prod(points) * (scale or 1)
    if series:
        # Lag d within a row, and from the end of the row before, d - run.
        products[:, 0, run:] += products[:, 1, : run - 1]
        products = products[:, :1, run - taps[1] : run + taps[1] - 1]
    return products[1, :, taps[1] - 1 :].copy(), products[0].copy()


@njit(cache=True, fastmath={"reassoc"})
def _norm(array):
    """The 2-norm in float64, of numbers of any size."""
    peak, squares = 0.0, 0.0
    for number in array:
        peak = max(peak, abs(float(number)))
    if peak > 0:
        for number in array:
            squares += (number / peak) ** 2
    return peak * np.sqrt(squares)


def _scale(signal, targets):
    """The power of two that makes the targets as large as the signal: they share a transform.

    0 if there is no signal; 1 if either is not finite, which the transforms carry on.
    """
    dtype = signal.dtype
    norms = _norm(signal), _norm(targets)
    if not isfinite(sum(norms)):
        return dtype.type(1)
    if min(norms) == 0:
        return dtype.type(norms[0] > 0)
    most = np.finfo(dtype).maxexp - 30
    return dtype.type(2.0 ** min(max(round(log2(norms[0]) - log2(norms[1])), -most), most))


def _workspace(signal, targets, *, taps, **_):
    """`gram_workspace`, spectra of all rows, and for each thread four transforms of columns."""
    shape, sides = (1, *signal.shape)[-2:], (1, *taps)[-2:]
    (run, height, reach), points = _cut(shape, sides)
    lanes = lanes_of(signal.dtype)
    numbers = points[1] * 2 * (lanes * (signal.size // (run * lanes) + 2) + height)
    numbers += 2 * height * (2 * reach + 1)
    numbers += numba.get_num_threads() * 2 * lanes * max(4 * points[0], points[1])
    return gram_workspace(shape, sides, signal.itemsize) + numbers * signal.itemsize


@kernel("fit_filter", family="numba", algorithm="gram-fft", workspace=_workspace)
def numba_gram_fft(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """``A^T A`` and ``A^T y`` once, their lagged products by FFT; then steps of k x k.

    As `numba_gram`, but with products of all lags, of the signal with itself and of the targets
    with the signal, from one complex transform there, for signal and targets together, and one
    back: about 5 n log2 n flops each, of two to four times n points, whatever the number of taps
    (Wiener and Khinchin's theorem; Cooley and Tukey, 1965). A series is cut into rows, padded
    to twice their length: lags reach into the next row at most. Of the inverse only the rows of
    lags that are asked for are finished. Steps cost 2 k^2.

    Transforms have lengths of twos and threes, in place by radices 3, 4 and 2, as many at a time
    as a vector has lanes: no shuffles, and all factors are shared. Their results stay permuted:
    products go to where a second transform forwards reads them. All four of a vector of
    frequencies stay in L2. Signal and targets are read once, the spectra of the rows written and
    read once: n to 2 n complex numbers of workspace besides k^2. One order of sums, however
    many threads. The error is that of an FFT, in proportion to the norm of the signal. From
    some hundred taps on, and from two iterations on.
    """
    sides = (1, *taps)[-2:]
    signal, targets = as_image(signal), as_image(targets)
    pull, products = _lagged_products(signal, targets, sides)
    curvature = gram_matrix(signal, sides, products, whole=True)
    return descend(curvature, pull, weights, iterations, step, l2, l1)
