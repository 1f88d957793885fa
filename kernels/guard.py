"""Arrays that lie against pages which must not be touched: a step beyond them is a crash."""

import ctypes
import mmap

import numpy as np

_PROT_NONE = 0


def guarded(array, at="end"):
    """Copy an array to where its last byte, or its first, is next to a forbidden page.

    Parameters
    ----------
    array : ndarray
    at : {"end", "start"}

    Returns
    -------
    ndarray
        C-contiguous, of the same shape and dtype. Reading or writing beyond it, on that side by
        any distance up to a page, ends the process. A plain copy where the system cannot protect
        pages.
    """
    page = mmap.PAGESIZE
    room = -(-max(array.nbytes, 1) // page) * page
    memory = mmap.mmap(-1, room + 2 * page)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if hasattr(ctypes.CDLL(None), "mprotect"):
        for place in (first, first + page + room):
            ctypes.CDLL(None).mprotect(ctypes.c_void_p(place), page, _PROT_NONE)
    start = page + (room - array.nbytes if at == "end" else 0)
    copy = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    return copy
