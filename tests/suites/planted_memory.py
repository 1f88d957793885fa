"""Kernels that need a known amount of memory, or come to a bad end; zygotes import this module.

It also fills its process with 400 MiB, half of them pieces with as much freed memory in between.
"""

import ctypes
import mmap
import os
import sys
import time
from signal import SIGKILL

import numpy as np
from numba import njit, prange

from convgrad import kernels
from convgrad.kernels import kernel

MIB = 1 << 20
BALLAST = np.ones(200 * MIB, np.uint8)
PIECES = [np.ones(100_000, np.uint8) for _ in range(4200)]
del PIECES[::2]


def temporary_numpy(size):
    temporary = np.ones(size, np.uint8)
    time.sleep(0.001)
    return temporary[size // 2]


@njit(cache=True)
def temporary_numba(size):
    temporary = np.empty(size, np.uint8)
    for i in range(size):
        temporary[i] = 1
    return temporary[size // 2]


@njit(cache=True, parallel=True)
def temporary_threads(size):
    temporary = np.empty(size, np.uint8)
    for i in prange(size):
        temporary[i] = 1
    return temporary[size // 2]


def temporary_pieces(size):
    """Ask for as much as `PIECES` left free, in pieces that fit where they lay."""
    del [np.ones(100_000, np.uint8) for _ in range(size // 100_000)][:]


def result(size):
    return np.ones(size, np.uint8)


for way in (temporary_numpy, temporary_numba, temporary_threads, result, temporary_pieces):
    for amount in (1, 16, 64, 256):

        def planted(signal, taps, *, mode="full", way=way, amount=amount):
            return way(amount * MIB)

        # the registry tells functions apart by module and qualified name
        planted.__qualname__ = f"{way.__name__}_{amount}"
        kernel("convolve", family="naive", name=planted.__qualname__)(planted)


@kernel("convolve", family="naive")
def allocates_nothing(signal, taps, *, mode="full"):
    return None


_kept = []


@kernel("convolve", family="naive")
def keeps_a_plan(signal, taps, *, mode="full"):
    if not _kept:
        _kept.append(np.ones(64 * MIB, np.uint8))


@kernel("convolve", family="naive")
def touches_one_page(signal, taps, *, mode="full"):
    with mmap.mmap(-1, 8 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        memory[4 * MIB] = 1


@kernel("convolve", family="naive")
def reads_a_null_pointer(signal, taps, *, mode="full"):
    ctypes.string_at(0)


@kernel("convolve", family="naive")
def never_ends(signal, taps, *, mode="full"):
    while True:
        time.sleep(1)


@kernel("convolve", family="naive")
def wants_too_much(signal, taps, *, mode="full"):
    return np.ones(1 << 60, np.uint8)


@kernel("convolve", family="naive")
def is_killed(signal, taps, *, mode="full"):
    os.kill(os.getpid(), SIGKILL)


@kernel("convolve", family="naive")
def raises(signal, taps, *, mode="full"):
    raise ZeroDivisionError("on purpose")


@kernel("convolve", family="naive")
def leaves(signal, taps, *, mode="full"):
    os.write(2, b"last words")
    os._exit(3)


@kernel("convolve", family="naive")
def declines(signal, taps, *, mode="full"):
    raise kernels.Unsupported("not today")


@kernel("convolve", family="naive")
def talks(signal, taps, *, mode="full"):
    os.write(1, b"heard\n")
    print("heard", file=sys.stderr, flush=True)


@kernel("convolve", family="naive")
def kills_the_zygote(signal, taps, *, mode="full"):
    os.kill(os.getppid(), SIGKILL)
    time.sleep(60)
