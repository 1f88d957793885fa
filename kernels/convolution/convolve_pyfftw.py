"""Convolution by FFTW, through pyFFTW."""

from functools import lru_cache
from math import prod
from threading import Lock

import numba
import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window
from convgrad.kernels.registry import kernel

_SECONDS_OF_PLANNING = 0.5
_SMALLEST_SHARED = 1 << 14
"""Points from which more than one thread pays."""
_buffers_in_use = Lock()


@lru_cache(maxsize=1)
def _planned(points, dtype, threads):
    """Plan transforms of a shape: (signal to spectrum, taps to spectrum, spectrum to result).

    Both signal and taps are read from the one real array, where the result comes back to. FFTW
    remembers what it found out about other shapes, so that only the last one is kept here.
    """
    from pyfftw import FFTW, empty_aligned

    real = empty_aligned(points, dtype)
    half = (*points[:-1], points[-1] // 2 + 1)
    spectra = [empty_aligned(half, np.result_type(dtype, np.complex64)) for _ in range(2)]
    how = {
        "axes": tuple(range(len(points))),
        "flags": ("FFTW_MEASURE",),
        "threads": threads,
        "planning_timelimit": _SECONDS_OF_PLANNING,
    }
    forward = [FFTW(real, spectrum, **how) for spectrum in spectra]
    return *forward, FFTW(spectra[0], real, direction="FFTW_BACKWARD", **how)


def _points(signal, taps):
    """Sides of a transform that holds the full result."""
    from pyfftw import next_fast_len

    return tuple(next_fast_len(n + k - 1) for n, k in zip(signal.shape, taps.shape))


def _workspace(signal, taps, *, mode):
    """One padded real array and two spectra, kept for the next call; FFTW's own two in 1-D."""
    points = prod(n + k - 1 for n, k in zip(signal.shape, taps.shape))
    return (5 if signal.ndim == 1 else 3) * points * signal.itemsize


@kernel("convolve", family="peer", algorithm="fft", requires=("pyfftw",), workspace=_workspace)
def pyfftw(signal, taps, *, mode):
    """Three real FFTs of the full result's size by FFTW (Frigo and Johnson, 2005).

    O(N log N) flops with N = n + k - 1, on as many threads as Numba may use. The first call at
    a shape plans for some seconds; plan and buffers are kept for the next. For operands of like
    size.
    """
    points = _points(signal, taps)
    threads = numba.get_num_threads() if prod(points) >= _SMALLEST_SHARED else 1
    with _buffers_in_use:
        signal_forward, taps_forward, backward = _planned(points, signal.dtype, threads)
        real = backward.output_array
        for operand, forward in ((signal, signal_forward), (taps, taps_forward)):
            real[...] = 0
            real[tuple(map(slice, operand.shape))] = operand
            forward.execute()
        spectrum = signal_forward.output_array
        spectrum *= taps_forward.output_array
        backward()
        return real[convolve_window(signal.shape, taps.shape, mode)].copy()
