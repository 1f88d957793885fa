"""Filter fit from the normal equations: another algorithm, whose steps never see the signal."""

from math import prod

import numpy as np

from convgrad.kernels.gradient_descent.reference import soft_threshold
from convgrad.kernels.registry import kernel


def _as_image(array):
    """A series becomes a column: the recurrence runs along the first axis."""
    return array.reshape(len(array), -1)


def _rows(image, width):
    """Convolution matrices of the rows: element [s, c, t] is ``image[s, c - t]``."""
    padded = np.pad(image, ((0, 0), (width - 1, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)
    return np.ascontiguousarray(windows[..., ::-1])


def _curvature(rows, height):
    """``A^T A`` as an array of sides (height, width, height, width).

    With a = A^T A and R(i) the matrix of row i, ``a[t, :, u, :]`` sums ``R(s - t)^T R(s - u)``
    over s. Filter rows (t, u) and (t + 1, u + 1) share all but the last term, so that only the
    last row of a is summed in full, and the others follow by additions alone: nothing cancels,
    and the border of the signal is exact.
    """
    samples, columns, width = rows.shape
    a = np.empty((height, width, height, width), rows.dtype)
    overlap = samples - height + 1
    first = rows[:overlap].reshape(-1, width)
    for u in range(height):
        start = height - 1 - u
        product = first.T @ rows[start : start + overlap].reshape(-1, width)
        a[-1, :, u], a[u, :, -1] = product, product.T
    last = rows[samples - height :][::-1].transpose(1, 0, 2).reshape(columns, -1)
    ends = (last.T @ last).reshape(a.shape)
    for t in range(height - 2, -1, -1):
        a[t, :, :-1] = a[t + 1, :, 1:] + ends[t, :, :-1]
    return a


def _pull(rows, targets, height):
    """``A^T y``, sides (height, width)."""
    samples, _, width = rows.shape
    return np.stack(
        [rows[: samples - t].reshape(-1, width).T @ targets[t:].ravel() for t in range(height)]
    )


def _workspace(signal, targets, *, taps, **_):
    """The rows' matrices, the two arrays of k x k products, and a few filters."""
    width = prod(taps[1:])
    return (signal.size * width + 2 * prod(taps) ** 2 + 5 * prod(taps)) * signal.itemsize


@kernel("fit_filter", family="gemm", algorithm="gram", workspace=_workspace)
def normal_equations(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """``A^T A`` and ``A^T y`` of the truncated Toeplitz matrix once, then steps of k x k.

    A maps a filter to the first outputs of its convolution with the signal. A series needs
    2 n k flops for ``A^T A``, as much as half a step of the definition; an image of k = k1 k2
    taps 2 n k k2. Steps cost 2 k^2 however long the signal. It is another algorithm than the
    definition's: the condition number is squared, which tells where the signal lacks some
    frequencies. For filters of up to some thousand taps: ``A^T A`` holds k^2 numbers.
    """
    rows = _rows(_as_image(signal), prod(taps[1:]))
    curvature = _curvature(rows, taps[0]).reshape(weights.size, weights.size)
    curvature.ravel()[:: weights.size + 1] += l2
    pull = _pull(rows, _as_image(targets), taps[0]).ravel()
    del rows
    flat = weights.flatten()
    for _ in range(iterations):
        flat -= step * (curvature @ flat - pull)
        if l1:
            flat = soft_threshold(flat, step * l1)
    return flat.reshape(weights.shape)
