"""Linear fit with Numba: one pass over X a step, in registers and by all threads."""

from math import gcd

import numpy as np

from convgrad.kernels import vector
from convgrad.kernels.gradient_descent import (
    linear_numba_narrow,
    linear_numba_outputs,
    linear_numba_several,
    linear_numba_streamed,
    linear_numba_wide,
)
from convgrad.kernels.lines import LINE
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_SMALLEST_PARTITION = 1 << 17
"""Multiplications of one pass, about 8 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 64
_FEATURES = 6
"""Of each output, from which on sums over lanes take less than lanes that no output fills."""
_GROUP = 1 << 19
"""Bytes of rows that lie in L2 twice, those being read and those to be read next."""


def _parts(samples, size, count, block):
    """Parts of the rows: by the sizes alone, so that no result depends on threads."""
    work = samples * size * count
    parts = min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, samples // (16 * block))
    return 1 << max(parts, 1).bit_length() - 1


def _period(samples, size, itemsize):
    """Rows from one to the next that meets cache lines alike; 1 where such would be too far."""
    lanes = vector.register_bytes() // itemsize
    period = lanes // gcd(size, lanes)
    group = period * linear_numba_wide.rows_together(size * itemsize)
    return period if samples >= 8 * group and group * size * itemsize <= _GROUP else 1


def _plan(samples, size, count, itemsize):
    """(module, its tiles' lengths, period of rows where it has such, parts)."""
    narrow = linear_numba_narrow.shape(size, itemsize) if count == 1 else None
    if narrow and samples >= narrow[-1]:
        parts = _parts(samples, max(size, narrow[-1]), 1, narrow[-1])
        return linear_numba_narrow, narrow, (), parts
    streamed = linear_numba_streamed
    if (
        count == 1
        and not narrow
        and size * itemsize <= streamed.LONGEST
        and samples * size * itemsize >= streamed.LEAST
    ):
        return streamed, (streamed.ROWS,), (), _parts(samples, size, 1, streamed.ROWS)
    if count == 1 and not narrow:
        rows = linear_numba_wide.rows_together(size * itemsize)
        period = _period(samples, size, itemsize)
        return linear_numba_wide, (rows,), (period,), _parts(samples, size, 1, period * rows)
    lanes = vector.register_bytes() // itemsize
    if count <= lanes // 2 and size >= max(_FEATURES * count, lanes // 2):
        outputs = -(-count // -(-count // 4))
        rows = linear_numba_several.ROWS[outputs - 1]
        tile = rows, outputs, rows * outputs
        return linear_numba_several, tile, (), _parts(samples, size, count, rows)
    across = min(-(-count // lanes), 4)
    rows = linear_numba_outputs.ROWS[across - 1]
    tile = across, rows, across * rows
    return linear_numba_outputs, tile, (), _parts(samples, size, count, rows)


def _workspace(features, targets, *, weights, **_):
    """Weights of each output, a gradient for each part; targets, rows at the margins."""
    samples, size = features.shape
    module, tile, period, parts = _plan(samples, size, weights.size // size, features.itemsize)
    lanes = vector.register_bytes() // features.itemsize
    pitch, count, rows = size + 3 * LINE, weights.size // size, max(tile)
    if module is linear_numba_outputs:
        count = -(-count // (tile[0] * lanes)) * tile[0] * lanes
    elif module is linear_numba_several:
        count = -(-count // tile[1]) * tile[1]
    if module is linear_numba_wide:
        rows = min(samples, period[0] * rows + 1) + rows
    copied = samples if module in (linear_numba_wide, linear_numba_several) else 0
    arrays = (1 + parts) * (count * pitch + LINE)
    return (arrays + (copied + 2 * rows) * count + rows * (pitch + 1)) * features.itemsize


@kernel("fit_linear", family="numba", workspace=_workspace)
def numba_fused(features, targets, *, iterations, step, l2, l1, weights, out=None):
    """Residual and gradient in one pass over X: each row is used again while it is in cache.

    4 n d flops a step and output, and n d elements read from memory where two products read 2 n d.
    A fixed number of parts of the rows has a gradient each, summed in order, so that no result
    depends on threads. Files beside this one have the loops:

    - one output, a row of up to four vectors (sixteen of 512 bits): weights, gradient and some rows
      stay in registers, as far as there are such, and each row is loaded once; the last vector of a
      row is masked (``linear_numba_narrow``).
    - one output, more features, from memory: while one row meets the weights, two that lie in L1 by
      now meet a share of the gradient, so that X is read in order and without a pause
      (``linear_numba_streamed``).
    - one output, more features, from caches: two to four rows, of which L1 has room for twice as
      many, meet the weights together while those before them meet the gradient; of longer rows
      eight meet one after the other. They begin at the same place of a cache line, so that they
      share what is loaded and stored of both. Loads begin where lines do, since one across two
      lines takes as long as two: weights and gradient are shifted in registers. Rows to come are
      brought into L2 meanwhile. Which sums are formed, to rounding, follows from the address of X
      (``linear_numba_wide``).
    - outputs that fill more than half a register, or few features: an output is a lane, a row's
      features are broadcast, and no sum crosses lanes (``linear_numba_outputs``).
    - fewer outputs: lanes are features, up to four outputs share each load of X, and a tree of
      shuffles sums up the lanes of all (``linear_numba_several``).

    Bound by memory in DRAM, by loads from L3 and L2 below, and with eight outputs and more by
    arithmetic. For any size; from some tens of steps on, the Gram matrix needs less, at the price
    of precision.
    """
    if out is None:
        out = np.empty(weights.shape, weights.dtype)
    samples, size = features.shape
    count = weights.size // size
    module, tile, period, parts = _plan(samples, size, count, features.itemsize)
    columns = (count,) if module in (linear_numba_several, linear_numba_outputs) else ()
    arguments = (
        plain(features),
        plain(targets).reshape(samples, *columns),
        plain(weights).reshape(size, *columns),
        out.reshape(size, *columns),
        iterations,
        (float(step), float(l2), float(step * l1)),
    )
    tiles = ((0,) * length for length in tile)
    if parts == 1:
        module.descend(*arguments, *period, *tiles)
    else:
        module.descend_parallel(*arguments, *period, parts, *tiles)
    return out
