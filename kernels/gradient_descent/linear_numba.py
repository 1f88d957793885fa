"""Linear fit with Numba: one pass over X a step, in registers and by all threads."""

from math import gcd

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.registry import kernel

_ROWS = {64: (8, 8, 4, 4), 32: (8, 4, 4, 2), 16: (8, 4, 4, 2)}[vector.register_bytes()]
"""Rows that go together with 1, 2, 3 and 4 outputs: as many sums as hide a multiply-add's time."""
_LINE = 64
_L2 = 1 << 20
"""Bytes of X up to which nothing has to be fetched ahead."""
_AHEAD = 1 << 14
"""Bytes from the rows that are worked on to those that are brought into L2 meanwhile."""
_SMALLEST_PARTITION = 1 << 17
"""Multiplications of one pass, about 5 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 64


@njit(cache=True)
def _zeros(size, array):
    """Zeros of the array's dtype, from the start of a cache line on."""
    whole = np.zeros(size + _LINE, array.dtype)
    first = -(whole.ctypes.data // array.itemsize) % (_LINE // array.itemsize)
    return whole[first : first + size]


@njit(cache=True, forceinline=True)
def _add_rows(
    rows,
    first,
    apart,
    reach,
    wanted,
    place,
    weights,
    gradient,
    kind,
    residuals,
    ahead,
    tile,
    outputs,
    pairs,
):
    """Add to the gradient what some rows contribute, which lie ``apart`` elements apart.

    Their predictions are summed up in registers, and what they add to the gradient before it is
    loaded: the rows come from memory for the former, and from L1 or L2 for the latter. Views of
    arrays would be counted by Numba, in every call: all indices are those of whole arrays.
    """
    lanes, (_, many, pitch) = vector.width(rows), weights.shape
    for output in range(0, many, len(outputs)):
        start = (kind * many + output) * pitch
        sums = vector.zero_tile(rows, lanes, len(pairs))
        for j in range(0, reach, lanes):
            x = vector.load_tile(rows, first + j, apart, lanes, len(tile))
            w = vector.load_tile(weights, start + j, pitch, lanes, len(outputs))
            sums = vector.add_outer(sums, x, w)
        y = vector.load(wanted, output // len(outputs) * wanted.shape[1] + place, len(pairs))
        vector.store(residuals, 0, vector.totals(sums) - y)
        factors = vector.broadcast_tile(residuals, 0, 1, lanes, len(pairs))
        for j in range(0, reach, lanes):
            x = vector.load_tile(rows, first + j, apart, lanes, len(tile))
            if ahead and output == 0:
                for i in range(len(tile)):
                    vector.prefetch(rows, first + ahead + i * apart + j, 2)
            total = vector.load_tile(gradient, start + j, pitch, lanes, len(outputs))
            total = vector.add_product(total, x, factors)
            vector.store_tile(gradient, start + j, pitch, total)


@njit(cache=True)
def _gradient(problem, weights, gradient, part, parts, ahead, tile, outputs, pairs):
    """Set ``gradient`` to ``X^T (X w - y)`` of one part of the rows, the last with the margin."""
    features, margin, wanted, shifts, head = problem
    samples, size = features.shape
    period, products = len(shifts) - 1, len(pairs)
    groups = wanted.shape[1] // products - len(margin) // len(tile)
    blocks, apart, block_rows = groups // period, period * size, period * len(tile)
    gradient[:] = 0
    residuals = _zeros(products, features)
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for kind in range(period):
            row = head + block * block_rows + kind
            far = 0
            if ahead:
                far = (kind + ahead) // period * block_rows + (kind + ahead) % period - kind
            _add_rows(
                features,
                row * size - shifts[kind],
                apart,
                size + shifts[kind],
                wanted,
                (block * period + kind) * products,
                weights,
                gradient,
                kind,
                residuals,
                far * size,
                tile,
                outputs,
                pairs,
            )
    if part == parts - 1:
        pitch = margin.shape[1]
        for group in range(len(margin) // len(tile)):
            _add_rows(
                margin,
                group * len(tile) * pitch,
                pitch,
                size,
                wanted,
                (groups + group) * products,
                weights,
                gradient,
                period,
                residuals,
                0,
                tile,
                outputs,
                pairs,
            )


@njit(cache=True)
def _prepare(features, targets, period, tile, outputs):
    """What all steps share: the rows at the margins, targets in the order of work, shifts."""
    samples, size = features.shape
    lanes, together = vector.width(features), len(tile)
    pitch = (size + lanes - 1) // lanes * lanes
    shifts = np.zeros(period + 1, np.int64)
    beyond = (lanes - 1 + size - 1) // size
    head = 0
    if size >= 4 * lanes and period * size % lanes == 0:
        head = beyond
        address = features.ctypes.data // features.itemsize
        for kind in range(period):
            shifts[kind] = (address + (head + kind) * size) % lanes
    blocks = max(samples - head - beyond, 0) // (period * together)
    groups, tail = blocks * period, head + blocks * period * together
    if blocks == 0:
        head = tail = samples
    count = head + samples - tail
    margin_groups = (count + together - 1) // together
    margin = _zeros(margin_groups * together * pitch, features).reshape(-1, pitch)
    margin[:head, :size] = features[:head]
    margin[head:count, :size] = features[tail:]
    many = targets.shape[1]
    wanted = np.zeros(
        ((many + len(outputs) - 1) // len(outputs), groups + margin_groups, together, len(outputs)),
        features.dtype,
    )
    for output in range(many):
        column = wanted[output // len(outputs), :, :, output % len(outputs)]
        for group in range(groups):
            first = head + (group - group % period) * together + group % period
            for i in range(together):
                column[group, i] = targets[first + i * period, output]
        for i in range(count):
            source = i if i < head else tail + i - head
            column[groups + i // together, i % together] = targets[source, output]
    return features, margin, wanted.reshape(len(wanted), -1), shifts, head


@njit(cache=True)
def _weights(start, shifts, outputs):
    """Weights as the vectors of rows meet them: by shift and output, zeros around them."""
    (size, many), lanes = start.shape, vector.width(start)
    pitch = (size + 2 * (lanes - 1)) // lanes * lanes
    rows = (many + len(outputs) - 1) // len(outputs) * len(outputs)
    weights = _zeros(len(shifts) * rows * pitch, start).reshape(len(shifts), rows, pitch)
    for kind in range(len(shifts)):
        weights[kind, :many, shifts[kind] : shifts[kind] + size] = start.T
    return weights


@njit(cache=True)
def _step(weights, gradients, shifts, size, step, l2, threshold):
    """Sum the gradients of all parts and shifts in order, and take a step with thresholding."""
    last = len(shifts) - 1
    for output in range(weights.shape[1]):
        total = gradients[0, last, output, :size]
        for part in range(len(gradients)):
            for kind in range(last + (part > 0)):
                total += gradients[part, kind, output, shifts[kind] : shifts[kind] + size]
        row = weights[last, output, :size]
        for j in range(size):
            weight = row[j]
            weight -= step * (total[j] + l2 * weight)
            if abs(weight) <= threshold:
                row[j] = 0
            elif weight > 0:
                row[j] = weight - threshold
            else:
                row[j] = weight + threshold
        for kind in range(last):
            weights[kind, output, shifts[kind] : shifts[kind] + size] = row


@njit(cache=True)
def _descend(
    features, targets, start, out, iterations, factors, period, ahead, tile, outputs, pairs
):
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    problem = _prepare(features, targets, period, tile, outputs)
    shifts = problem[3]
    weights = _weights(start, shifts, outputs)
    gradient = _zeros(weights.size, features).reshape((1, *weights.shape))
    for _ in range(iterations):
        _gradient(problem, weights, gradient[0], 0, 1, ahead, tile, outputs, pairs)
        _step(weights, gradient, shifts, size, step, l2, threshold)
    out[:] = weights[-1, : out.shape[1], :size].T


@njit(cache=True, parallel=True)
def _descend_parallel(
    features, targets, start, out, iterations, factors, period, ahead, parts, tile, outputs, pairs
):
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    problem = _prepare(features, targets, period, tile, outputs)
    shifts = problem[3]
    weights = _weights(start, shifts, outputs)
    gradients = _zeros(parts * weights.size, features).reshape((parts, *weights.shape))
    for _ in range(iterations):
        for part in prange(parts):
            _gradient(problem, weights, gradients[part], part, parts, ahead, tile, outputs, pairs)
        _step(weights, gradients, shifts, size, step, l2, threshold)
    out[:] = weights[-1, : out.shape[1], :size].T


def _plan(samples, size, count, itemsize):
    """(rows together, outputs together, period of rows that meet lines alike, parts).

    By the sizes alone, so that no result depends on threads.
    """
    outputs = -(-count // -(-count // 4))
    lanes = vector.register_bytes() // itemsize
    period = lanes // gcd(size, lanes) if outputs == 1 and size >= 4 * lanes else 1
    together = _ROWS[outputs - 1]
    work = samples * size * count
    parts = min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, samples // (8 * period * together))
    return together, outputs, period, 1 << max(parts, 1).bit_length() - 1


def _workspace(features, targets, *, weights, **_):
    """Weights by shift and output, as many gradients for each part; targets, rows at margins."""
    samples, size = features.shape
    together, outputs, period, parts = _plan(samples, size, weights.size // size, features.itemsize)
    pitch = size + 64 // features.itemsize
    rows = min(samples, (period + 1) * together + 32 // min(size, 32))
    count = -(-(weights.size // size) // outputs) * outputs
    arrays = (1 + parts) * (period + 1) * count * pitch + (samples + together) * count
    return (arrays + (rows + together) * pitch) * features.itemsize


def _usable(array):
    return array if array.flags.carray else np.require(array, requirements=("C", "A", "W"))


@kernel("fit_linear", family="numba", workspace=_workspace)
def numba_fused(features, targets, *, iterations, step, l2, l1, weights, out=None):
    """Residual and gradient in one pass over X: each row is used again while it is in cache.

    4 n d flops a step and output, and n d elements read from memory where two products read 2 n d.
    Eight rows go together (four with three or four outputs): one register of sums each hides the
    time of a multiply-add, and one tree of shuffles adds up the lanes of all. X beyond L2 is
    fetched into it 16 kB ahead. Rows that begin at the same place of a
    cache line are taken together, and their weights are shifted to where whole vectors begin, so
    that no load crosses a line: which sums are formed, to rounding, follows from the address of
    X, but not from threads. A fixed number of parts has a gradient each, summed in order.

    Bound by memory in DRAM, by L1 and L2 below: X is loaded twice from there. For any size; from
    some tens of steps on, the Gram matrix needs less, at the price of precision.
    """
    if out is None:
        out = np.empty(weights.shape, weights.dtype)
    samples, size = features.shape
    count = weights.size // size
    together, outputs, period, parts = _plan(samples, size, count, features.itemsize)
    ahead = 0
    if features.nbytes > _L2:
        ahead = -(-_AHEAD // (together * size * features.itemsize))
    arguments = (
        _usable(features),
        _usable(targets).reshape(samples, count),
        _usable(weights).reshape(size, count),
        out.reshape(size, count),
        iterations,
        (float(step), float(l2), float(step * l1)),
        period,
        ahead,
    )
    tile = (0,) * together, (0,) * outputs, (0,) * (together * outputs)
    if parts == 1:
        _descend(*arguments, *tile)
    else:
        _descend_parallel(*arguments, parts, *tile)
    return out
