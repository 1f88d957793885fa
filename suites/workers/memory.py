"""How much memory a call needs at its worst moment: a pass of its own, in fresh processes.

The kernel of the operating system keeps the high-water mark of a process's memory. Read in a
process that has already computed other things, it shows their marks and their freed memory too:
every measurement has a worker to itself, which has imported everything and computed nothing.
"""

import ctypes
import gc
import os
import re
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc/self")
_RESET_HIGH_WATER = "5"
_PR_SET_THP_DISABLE = 41
_M_ARENA_MAX = -8


def why_not():
    """Say why memory cannot be measured on this system; None where it can."""
    if not hasattr(os, "fork") or not (_PROC / "clear_refs").exists():
        return "the high-water mark of memory can only be reset on Linux (/proc/self/clear_refs)"
    return None


def peak_bytes(call, make=None):
    """Measure by how much a call raises the memory of this process, at its worst moment.

    For a process of its own: the call is made once before, so that what it keeps for later calls
    (threads, compiled code, plans) does not count, then all freed memory is given back. Huge
    pages are turned off in the process, because they round sizes up to 2 MiB. The result counts,
    and so does everything that is resident only for a moment: the system counts pages when they
    are first touched, nobody has to look at the right time.

    The high-water mark may be short by some pages for each processor that took part, because
    Linux counts in batches: here 32 pages, on large machines twice the number of processors.

    Parameters
    ----------
    call : callable
        Takes no arguments, or those that ``make`` returns.
    make : callable, optional
        Returns the arguments of a call, which count as its memory: a model. What is
        resident for a moment while it is made does not count.

    Returns
    -------
    int or None
        None where the system does not let the mark be reset.
    """
    if why_not():
        return None
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)  # arenas of threads cannot be trimmed
    make = make or tuple
    call(*make())
    gc.collect()
    give_back_freed_memory()
    before = _resident()
    made = make()
    give_back_freed_memory()
    try:
        (_PROC / "clear_refs").write_text(_RESET_HIGH_WATER)
    except OSError:
        return None
    mark = _high_water()
    result = call(*made)
    peak, after = _high_water(), _resident()
    del result, made
    # a mark that stayed where it was is a rounding of the kernel's, not a peak
    risen = peak - before if peak > mark else 0
    return max(risen, after - before, 0)


def give_back_freed_memory():
    """Only glibc has to be asked; what it keeps would hide allocations that reuse it."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _high_water():
    return _kibibytes("status", "VmHWM")


def _resident():
    """Resident bytes, from the page tables: exact where the counters of older kernels are not."""
    try:
        return _kibibytes("smaps_rollup", "Rss")
    except OSError:
        return _kibibytes("status", "VmRSS")


def _kibibytes(file, field):
    text = (_PROC / file).read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)[1]) << 10
