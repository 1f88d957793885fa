"""Kernels that need a known amount of memory, or come to a bad end; zygotes import this module.

It also fills its process with 400 MiB, half of them pieces with as much freed memory in between.
"""

import ctypes
import mmap
import os
import sys
import threading
import time
from signal import SIGKILL

import numpy as np
from numba import njit, prange

from convgrad.kernels import kernel

MIB = 1 << 20
THREADS = 2
BALLAST = np.ones(200 * MIB, np.uint8)
PIECES = [np.ones(100_000, np.uint8) for _ in range(4200)]
del PIECES[::2]


def temporary_numpy(size):
    """Fill an array and let go of it."""
    temporary = np.ones(size, np.uint8)
    time.sleep(0.001)
    return temporary[size // 2]


@njit(cache=True)
def temporary_numba(size):
    """Do so in compiled code."""
    temporary = np.empty(size, np.uint8)
    for i in range(size):
        temporary[i] = 1
    return temporary[size // 2]


@njit(cache=True, parallel=True)
def temporary_threads(size):
    """Have threads fill one array."""
    temporary = np.empty(size, np.uint8)
    for i in prange(size):
        temporary[i] = 1
    return temporary[size // 2]


def temporary_each(size):
    """Share the amount among threads, each with an array of its own, all alive at one moment."""
    barrier = threading.Barrier(THREADS)

    def work():
        temporary = np.ones(size // THREADS, np.uint8)
        barrier.wait()
        del temporary

    workers = [threading.Thread(target=work) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def temporary_pieces(size):
    """Ask for as much as `PIECES` left free, in pieces that fit where they lay."""
    del [np.ones(100_000, np.uint8) for _ in range(size // 100_000)][:]


def result(size):
    """Return what takes the amount."""
    return np.ones(size, np.uint8)


for way in (
    temporary_numpy,
    temporary_numba,
    temporary_threads,
    temporary_each,
    temporary_pieces,
    result,
):
    for amount in (1, 16, 64, 256):

        def _call(signal, taps, *, mode="full", way=way, amount=amount):
            return way(amount * MIB)

        # the registry tells functions apart by module and qualified name
        _call.__qualname__ = f"{way.__name__}_{amount}"
        kernel("convolve", family="naive", name=_call.__qualname__)(_call)


@kernel("convolve", family="naive")
def allocates_nothing(signal, taps, *, mode="full"):
    """Takes nothing."""


_kept = []


@kernel("convolve", family="naive")
def keeps_a_plan(signal, taps, *, mode="full"):
    """Takes 64 MiB in its first call, for good."""
    if not _kept:
        _kept.append(np.ones(64 * MIB, np.uint8))


@kernel("convolve", family="naive")
def touches_one_page(signal, taps, *, mode="full"):
    """Asks for 8 MiB of huge pages, and writes a byte."""
    with mmap.mmap(-1, 8 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        memory[4 * MIB] = 1


@kernel("convolve", family="naive")
def reads_a_null_pointer(signal, taps, *, mode="full"):
    """Reads address 0."""
    ctypes.string_at(0)


@kernel("convolve", family="naive")
def never_ends(signal, taps, *, mode="full"):
    """Does not come back."""
    while True:
        time.sleep(1)


@kernel("convolve", family="naive")
def wants_too_much(signal, taps, *, mode="full"):
    """Asks for an exabyte."""
    return np.ones(1 << 60, np.uint8)


@kernel("convolve", family="naive")
def is_killed(signal, taps, *, mode="full"):
    """Is killed, as where memory runs out."""
    os.kill(os.getpid(), SIGKILL)


@kernel("convolve", family="naive")
def raises(signal, taps, *, mode="full"):
    """Raises."""
    raise ZeroDivisionError("on purpose")


@kernel("convolve", family="naive")
def leaves(signal, taps, *, mode="full"):
    """Ends its process."""
    os.write(2, b"last words")
    os._exit(3)


@kernel("convolve", family="naive")
def talks(signal, taps, *, mode="full"):
    """Writes to both ends of the terminal."""
    os.write(1, b"heard\n")
    print("heard", file=sys.stderr, flush=True)


@kernel("convolve", family="naive")
def kills_the_zygote(signal, taps, *, mode="full"):
    """Kills the process that it was forked from."""
    os.kill(os.getppid(), SIGKILL)
    time.sleep(60)
