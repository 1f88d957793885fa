"""Linear fit on a CUDA device: one pass over X a step, X uploaded once."""

import numpy as np

from convgrad.kernels.cuda import cuda, device_kernel
from convgrad.kernels.registry import kernel

_LANES, _ROWS = 32, 4
"""Threads of a block: a row of X is read by ``_LANES`` of them, ``_ROWS`` rows at a time."""
_MOST_BLOCKS = 1024
_TILES = 8
"""Tiles of ``_ROWS`` rows that a block goes through at least: each block costs a gradient."""


@device_kernel("T[:, ::1], T[:, ::1], T[:, ::1], int64, T[:, :, ::1]")
def _gradients(features, targets, weights, block_rows, gradients):
    """Set ``gradients[block]`` to ``X^T (X w - y)`` of the block's rows, tile by tile.

    The residuals of a tile are summed by lanes, then by one thread a row from shared memory,
    where a tree would need a barrier for each of its levels. The rows are read once more for the
    gradient, from the cache.
    """
    partial = cuda.shared.array((_ROWS, _LANES), dtype=features.dtype)
    lane, row = cuda.threadIdx.x, cuda.threadIdx.y
    thread = row * _LANES + lane
    samples, size = features.shape
    outputs = weights.shape[0]
    block = cuda.blockIdx.x
    for output in range(outputs):
        for j in range(thread, size, _ROWS * _LANES):
            gradients[block, output, j] = 0
    first = block * block_rows
    for start in range(first, first + block_rows, _ROWS):
        sample = start + row
        for output in range(outputs):
            total = features.dtype.type(0)
            if sample < samples:
                for j in range(lane, size, _LANES):
                    total += features[sample, j] * weights[output, j]
            partial[row, lane] = total
            cuda.syncthreads()
            if lane == 0 and sample < samples:
                total = -targets[sample, output]
                for i in range(_LANES):
                    total += partial[row, i]
                partial[row, 0] = total
            cuda.syncthreads()
            for j in range(thread, size, _ROWS * _LANES):
                total = gradients[block, output, j]
                for i in range(_ROWS):
                    if start + i < samples:
                        total += features[start + i, j] * partial[i, 0]
                gradients[block, output, j] = total
            cuda.syncthreads()


@device_kernel("T[::1], T[:, ::1], T, T, T")
def _step(weights, gradients, step, l2, threshold):
    """Sum the blocks' gradients, ``_ROWS`` sums a weight, and take a step."""
    partial = cuda.shared.array((_ROWS, _LANES), dtype=weights.dtype)
    lane, row = cuda.threadIdx.x, cuda.threadIdx.y
    j = cuda.blockIdx.x * _LANES + lane
    total = weights.dtype.type(0)
    if j < weights.size:
        for block in range(row, gradients.shape[0], _ROWS):
            total += gradients[block, j]
    partial[row, lane] = total
    cuda.syncthreads()
    if row == 0 and j < weights.size:
        for i in range(1, _ROWS):
            total += partial[i, lane]
        weight = weights[j] - step * (total + l2 * weights[j])
        if abs(weight) <= threshold:
            weights[j] = 0
        elif weight > 0:
            weights[j] = weight - threshold
        else:
            weights[j] = weight + threshold


def _blocks(samples):
    """(blocks, rows of each), from the size alone."""
    blocks = min(-(-samples // (_TILES * _ROWS)), _MOST_BLOCKS)
    rows = -(-samples // (blocks * _ROWS)) * _ROWS
    return -(-samples // rows), rows


def _workspace(features, targets, *, weights, **_):
    """On the device: X, targets, weights, and a gradient for each block."""
    blocks, _ = _blocks(len(features))
    return features.nbytes + targets.nbytes + (1 + blocks) * weights.nbytes


@kernel("fit_linear", family="cuda", device="cuda", workspace=_workspace)
def cuda_fused(features, targets, *, iterations, step, l2, l1, weights):
    """Residual and gradient in one pass over X a step; X and weights stay on the device.

    4 n d flops a step, and n d elements read from device memory where two products read 2 n d.
    Every block of 128 threads sums a gradient over rows of its own, and a second launch adds
    these in order and takes the step: no atomics, the same result on every run. The upload of X
    costs as much as tens of steps.
    """
    samples, dtype = len(features), features.dtype
    blocks, block_rows = _blocks(samples)
    by_output = np.ascontiguousarray(weights.reshape(len(weights), -1).T)
    outputs, size = by_output.shape
    device_features = cuda.to_device(np.ascontiguousarray(features))
    device_targets = cuda.to_device(np.ascontiguousarray(targets.reshape(samples, -1)))
    device_weights = cuda.to_device(by_output)
    gradients = cuda.device_array((blocks, outputs, size), dtype)
    flat_weights = device_weights.reshape(outputs * size)
    flat_gradients = gradients.reshape(blocks, outputs * size)
    threads = (_LANES, _ROWS)
    factors = [dtype.type(factor) for factor in (step, l2, step * l1)]
    for _ in range(iterations):
        _gradients[blocks, threads](
            device_features, device_targets, device_weights, block_rows, gradients
        )
        _step[-(-outputs * size // _LANES), threads](flat_weights, flat_gradients, *factors)
    return device_weights.copy_to_host().T.copy().reshape(weights.shape)
