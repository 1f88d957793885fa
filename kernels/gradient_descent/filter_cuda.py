"""Filter fit on a CUDA device: residuals, then the gradient, directly."""

from math import prod

from convgrad.kernels.cuda import ARRAYS, cuda, device_kernel, scratch
from convgrad.kernels.registry import kernel

_THREADS = 128
_SUMS = 8
"""Threads that go on when a block adds up its partial sums: two barriers instead of seven."""
_CHUNK = 4096
"""Outputs that one block sums up for one tap; more where that would make too many blocks."""
_MOST_CHUNKS = 256


@device_kernel("T[:, ::1], T[:, ::1]")
def _pad(signal, padded):
    """Put zeros above the signal and before it."""
    index = cuda.grid(1)
    if index < padded.size:
        rows, columns = signal.shape
        row = index // padded.shape[1] - (padded.shape[0] - rows)
        column = index % padded.shape[1] - (padded.shape[1] - columns)
        sample = signal.dtype.type(0)
        if row >= 0 and column >= 0:
            sample = signal[row, column]
        padded[index // padded.shape[1], index % padded.shape[1]] = sample


@device_kernel("T[:, ::1], T[:, ::1], T[:, ::1], T[::1]")
def _residuals(padded, targets, weights, residuals):
    """One output a thread, by rows; neighbours read neighbouring samples."""
    output = cuda.blockIdx.x * _THREADS + cuda.threadIdx.x
    rows, columns = targets.shape
    if output < rows * columns:
        row, column = output // columns, output % columns
        height, width = weights.shape
        total = -targets[row, column]
        for i in range(height):
            for j in range(width):
                sample = padded[row + height - 1 - i, column + width - 1 - j]
                total += weights[i, j] * sample
        residuals[output] = total


@device_kernel("T[:, ::1], int64, T[::1], int64, int64, T[:, ::1]")
def _gradients(padded, columns, residuals, width, chunk, gradients):
    """Set ``gradients[chunk, tap]``, summed by one block over its chunk of the outputs."""
    partial = cuda.shared.array(_THREADS, dtype=padded.dtype)
    thread = cuda.threadIdx.x
    tap = cuda.blockIdx.x
    outputs = residuals.size
    height = gradients.shape[1] // width
    below, right = height - 1 - tap // width, width - 1 - tap % width
    total = padded.dtype.type(0)
    first = cuda.blockIdx.y * chunk
    for output in range(first + thread, first + chunk, _THREADS):
        if output < outputs:
            row, column = output // columns, output % columns
            total += residuals[output] * padded[row + below, column + right]
    partial[thread] = total
    cuda.syncthreads()
    if thread < _SUMS:
        for i in range(thread + _SUMS, _THREADS, _SUMS):
            total += partial[i]
        partial[thread] = total
    cuda.syncthreads()
    if thread == 0:
        for i in range(1, _SUMS):
            total += partial[i]
        gradients[cuda.blockIdx.y, tap] = total


@device_kernel("T[::1], T[:, ::1], T, T, T")
def _step(weights, gradients, step, l2, threshold):
    """Sum the chunks' gradients of one tap a thread, and take a step."""
    tap = cuda.blockIdx.x * _THREADS + cuda.threadIdx.x
    if tap < weights.size:
        gradient = weights.dtype.type(0)
        for chunk in range(gradients.shape[0]):
            gradient += gradients[chunk, tap]
        weight = weights[tap] - step * (gradient + l2 * weights[tap])
        if abs(weight) <= threshold:
            weights[tap] = 0
        elif weight > 0:
            weights[tap] = weight - threshold
        else:
            weights[tap] = weight + threshold


def _chunks(outputs):
    """(chunks, outputs of each), from the size alone."""
    chunks = min(-(-outputs // _CHUNK), _MOST_CHUNKS)
    return chunks, -(-outputs // chunks)


def _workspace(signal, targets, *, taps, **_):
    """Signal, as it is and padded; targets, residuals, filter and gradients on the device."""
    padded = prod(n + k - 1 for n, k in zip(signal.shape, taps))
    chunks, _ = _chunks(signal.size)
    return (2 * padded + 2 * targets.size + (1 + chunks) * prod(taps)) * signal.itemsize


@kernel("fit_filter", family="cuda", device="cuda", arrays=ARRAYS, workspace=_workspace)
def cuda_direct(signal, targets, *, taps, iterations, step, l2, l1, weights, out):
    """One thread an output for the residuals, one block a tap and chunk for the gradient.

    4 n k flops a step, everything on the device between the first upload and the result. Sums
    over chunks run in order: no atomics, the same result on every run. Samples come from the
    cache rather than from shared memory, so that any number of taps is served.
    """
    dtype = signal.dtype
    height, width = (1, *taps)[-2:]
    rows, columns = (1, *signal.shape)[-2:]
    padded = scratch("padded signal", (rows + height - 1, columns + width - 1), dtype)
    _pad[-(-padded.size // _THREADS), _THREADS](signal.reshape(rows, columns), padded)
    targets = targets.reshape(rows, columns)
    chunks, chunk = _chunks(signal.size)
    residuals = scratch("residuals", (signal.size,), dtype)
    gradients = scratch("gradients", (chunks, height * width), dtype)
    out.copy_to_device(weights)
    filters, flat_weights = out.reshape(height, width), out.reshape(height * width)
    factors = [dtype.type(factor) for factor in (step, l2, step * l1)]
    for _ in range(iterations):
        _residuals[-(-signal.size // _THREADS), _THREADS](padded, targets, filters, residuals)
        _gradients[(height * width, chunks), _THREADS](
            padded, columns, residuals, width, chunk, gradients
        )
        _step[-(-height * width // _THREADS), _THREADS](flat_weights, gradients, *factors)
    return out
