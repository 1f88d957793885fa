"""Where the arrays of a call lie, and how its time is read there."""

import time

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register
PLACES = 1024
"""Cache lines at which an input may begin: addresses repeat in caches every few kilobytes."""


class Host:
    """Memory of the processor; arrays begin where chance decides."""

    def __init__(self, random):
        self.random = random

    def put(self, array):
        """Copy an array there."""
        # All take the same room, so that what is allocated next lies elsewhere relative to them:
        # loads and stores whose addresses differ by a multiple of 4096 bytes wait for each other.
        return aligned_copy(array, self.random.integers(PLACES), PLACES)

    def negate(self, array):
        """Change the sign of what was put there, where it lies."""
        np.negative(array, out=array)

    def fetch(self, array):
        """The array as NumPy's, or what a kernel has returned in its stead."""
        return array

    def now(self):
        """Wall time in ns, once everything that was started there is done."""
        return time.perf_counter_ns()


class Device:
    """Memory of a device, for kernels that take such arrays.

    Calls are queued, and the clock is read when all of them are done: what a call takes the
    device, or what it takes to be launched where that is longer.
    """

    def __init__(self, arrays):
        self.arrays, self.put, self.fetch = arrays, arrays.upload, arrays.download

    def negate(self, array):
        """Change the sign of what was put there, where it lies."""
        self.arrays.refill(array, -self.arrays.download(array))

    def now(self):
        """Wall time in ns, once everything that was started there is done."""
        self.arrays.wait()
        return time.perf_counter_ns()


def aligned_copy(array, line=0, lines=1):
    """Copy an array into memory of its own, to begin at one of the cache lines that it may."""
    buffer = np.empty(array.nbytes + lines * ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT + line * ALIGNMENT
    copy = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
