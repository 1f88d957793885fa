"""Linear fit on a CUDA device: one launch for all steps, one pass over X in each."""

import numpy as np

from convgrad.kernels.cuda import ARRAYS, cuda, device_kernel, resident_blocks, scratch
from convgrad.kernels.registry import kernel

_THREADS = 256
_ROWS = 16
"""Rows of X that a thread has at a time, one element of each: it waits for all of them together."""
_PRODUCTS = _THREADS * (_ROWS + 1)
_BLOCKS = 2
"""Blocks on a multiprocessor: while one waits at a barrier, the other reads."""


@device_kernel(
    "T[::1], T[:, ::1], T[:, ::1], T[:, :, ::1], int64, int64, T, T, T", max_registers=128
)
def _descend(features, targets, weights, gradients, iterations, columns, step, l2, threshold):
    """All steps of a descent, by blocks that wait for each other twice a step.

    A block goes through tiles of rows. A thread has a column of some rows, or every so many
    columns: its products are added through shared memory to the rows' residuals, and what it has
    read then gives its part of the gradient; only of rows longer than a block, it reads all but
    the last part again. At the end the gradients of all blocks are added in order, a weight a
    block. Indices are unsigned where it matters: of a signed one, the device asks whether it
    counts from the end.
    """
    products = cuda.shared.array(_PRODUCTS, dtype=features.dtype)
    partial = cuda.shared.array(_THREADS, dtype=features.dtype)
    residuals = cuda.shared.array(_THREADS, dtype=features.dtype)
    read = cuda.local.array(_ROWS, dtype=features.dtype)
    sums = cuda.local.array(_ROWS, dtype=features.dtype)
    grid = cuda.cg.this_grid()
    thread, block, blocks = cuda.threadIdx.x, cuda.blockIdx.x, cuda.gridDim.x
    samples = targets.shape[0]
    size, outputs = weights.shape
    column, part, parts = thread % columns, thread // columns, _THREADS // columns
    own, tile_rows = block * parts + part, parts * _ROWS
    # To add the products of a row, so many threads take every so many of them; the room from one
    # row to the next has them read from different banks.
    helpers = columns // _ROWS
    pitch = columns + helpers
    helper = thread // helpers * pitch + thread % helpers
    for _ in range(iterations):
        j = column
        while j < size:
            for output in range(outputs):
                gradients[own, output, j] = 0
            j += columns
        for first in range(block * tile_rows, samples, blocks * tile_rows):
            start = first + part * _ROWS
            for output in range(outputs):
                for r in range(_ROWS):
                    sums[r] = 0
                    read[r] = 0
                j = column
                while j < size:
                    weight = weights[np.uint64(j), np.uint64(output)]
                    at = start * size + j
                    if start + _ROWS <= samples:
                        for r in range(_ROWS):
                            read[r] = features[np.uint64(at)]
                            at += size
                    else:
                        for r in range(_ROWS):
                            if start + r < samples:
                                read[r] = features[np.uint64(at)]
                                at += size
                    for r in range(_ROWS):
                        sums[r] += read[r] * weight
                    j += columns
                for r in range(_ROWS):
                    products[np.uint64((part * _ROWS + r) * pitch + column)] = sums[r]
                cuda.syncthreads()
                total = features.dtype.type(0)
                for i in range(_ROWS):
                    total += products[np.uint64(helper + i * helpers)]
                partial[thread] = total
                cuda.syncthreads()
                if thread < tile_rows and first + thread < samples:
                    total = -targets[first + thread, output]
                    i = thread * helpers
                    while i < (thread + 1) * helpers:
                        total += partial[np.uint64(i)]
                        i += 1
                    residuals[thread] = total
                elif thread < tile_rows:
                    residuals[thread] = 0
                cuda.syncthreads()
                for r in range(_ROWS):
                    sums[r] = residuals[np.uint64(part * _ROWS + r)]
                j -= columns
                if column < size:
                    total = gradients[np.uint64(own), np.uint64(output), np.uint64(j)]
                    for r in range(_ROWS):
                        total += read[r] * sums[r]
                    gradients[np.uint64(own), np.uint64(output), np.uint64(j)] = total
                j -= columns
                while j >= 0:
                    total = gradients[np.uint64(own), np.uint64(output), np.uint64(j)]
                    at = start * size + j
                    for r in range(_ROWS):
                        if start + r < samples:
                            total += features[np.uint64(at)] * sums[r]
                            at += size
                    gradients[np.uint64(own), np.uint64(output), np.uint64(j)] = total
                    j -= columns
        grid.sync()
        weight = block
        while weight < outputs * size:
            j, output = weight // outputs, weight % outputs
            total = features.dtype.type(0)
            i = thread
            while i < blocks * parts:
                total += gradients[np.uint64(i), np.uint64(output), np.uint64(j)]
                i += _THREADS
            partial[thread] = total
            half = _THREADS // 2
            while half:
                cuda.syncthreads()
                if thread < half:
                    partial[thread] += partial[thread + half]
                half //= 2
            if thread == 0:
                before = weights[j, output]
                after = before - step * (partial[0] + l2 * before)
                if abs(after) <= threshold:
                    weights[j, output] = 0
                elif after > 0:
                    weights[j, output] = after - threshold
                else:
                    weights[j, output] = after + threshold
            cuda.syncthreads()
            weight += blocks
        grid.sync()


def _shape(samples, size):
    """(blocks, threads along a row)."""
    columns = _ROWS
    while columns < min(size, _THREADS):
        columns *= 2
    tiles = -(-samples // (_THREADS // columns * _ROWS))
    return min(tiles, resident_blocks(_BLOCKS)), columns


def _workspace(features, targets, *, weights, **_):
    """On the device: X, targets, weights, and the gradients of each block."""
    blocks, columns = _shape(*features.shape)
    gradients = blocks * (_THREADS // columns)
    return features.nbytes + targets.nbytes + (1 + gradients) * weights.nbytes


@kernel("fit_linear", family="cuda", device="cuda", arrays=ARRAYS, workspace=_workspace)
def cuda_fused(features, targets, *, iterations, step, l2, l1, weights, out):
    """Residual and gradient in one pass over X a step, and all steps in one launch.

    4 n d flops a step, and n d elements read from device memory where two products read 2 n d:
    rows of up to 256 features stay in registers, others come again from the cache. As many
    blocks as run at the same time go on to the next step together. Each sums gradients of its
    own, which are added in order: no atomics, the same result on every run. The upload of X
    costs as much as tens of steps.
    """
    samples, size = features.shape
    dtype = features.dtype
    outputs = weights.size // size
    blocks, columns = _shape(samples, size)
    gradients = scratch("gradients", (blocks * (_THREADS // columns), outputs, size), dtype)
    out.copy_to_device(weights)
    targets, out_by_output = targets.reshape(samples, outputs), out.reshape(size, outputs)
    factors = [dtype.type(factor) for factor in (step, l2, step * l1)]
    _descend[blocks, _THREADS](
        *(features.reshape(samples * size), targets, out_by_output, gradients),
        *(iterations, columns, *factors),
    )
    return out
