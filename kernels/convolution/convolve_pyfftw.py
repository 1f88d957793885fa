"""Convolution by FFTW, through pyFFTW."""

import os
import pickle
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock

import numba
import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window
from convgrad.kernels.registry import kernel

_SECONDS_OF_PLANNING = 1.0
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

    _recall()
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
    backward = FFTW(spectra[0], real, direction="FFTW_BACKWARD", **how)
    _keep()
    return *forward, backward


def _wisdom():
    """Where plans are kept for other processes: with Numba's compiled code, if that has a place."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    return folder and Path(folder, "fftw.wisdom")


def _recall():
    from pyfftw import import_wisdom

    if (path := _wisdom()) and path.exists():
        import_wisdom(pickle.loads(path.read_bytes()))


def _keep():
    from pyfftw import export_wisdom

    if path := _wisdom():
        _recall()  # what others have found out meanwhile
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_suffix(f".{os.getpid()}")
        own.write_bytes(pickle.dumps(export_wisdom()))
        own.replace(path)  # whole, whoever else writes


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
    a shape plans for some seconds; plan and buffers are kept for the next, and what FFTW found
    out for other processes, where ``NUMBA_CACHE_DIR`` says. For operands of like
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
