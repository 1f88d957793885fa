"""The one place that decides which CUDA provider compiles our kernels.

NVIDIA's numba-cuda, where it is installed, takes the place of Numba's own target by itself; the
rest of the package imports ``cuda`` from here and stays within what both of them understand: no
``min``, ``max`` or ``divmod`` inside device code.
"""

from functools import lru_cache

import numpy as np

if not hasattr(np, "row_stack"):
    # NumPy 2.5 dropped it, and numba-cuda 0.30 calls it when it compiles.
    np.row_stack = np.vstack  # noqa: NPY201

from numba import config, cuda

from convgrad.kernels.on_device import Arrays, contiguous

__all__ = [
    *("ARRAYS", "cuda", "device_kernel", "device_kernels", "ptx", "resident_blocks"),
    *("scratch", "simulated", "why_not"),
]

device_kernels = []
"""Every function declared by `device_kernel`, with its signature: what a PTX check goes through."""


def device_kernel(signature, max_registers=None):
    """Compile a function for the device, and remember its signature for checks without a device.

    Parameters
    ----------
    signature : str
        Types of the arguments in Numba's notation, ``T`` for the working precision:
        ``"T[::1], T[::1], int64"``.

    Returns
    -------
    callable
        A decorator; the function is launched as ``function[blocks, threads](...)``.
    """

    def declare(function):
        device_kernels.append((function, signature))
        options = {"max_registers": max_registers} if max_registers and not simulated() else {}
        return cuda.jit(**options)(function)

    return declare


def ptx(function, signature, dtype, capability=(9, 0)):
    """Compile device code to PTX text, without a device.

    Parameters
    ----------
    function, signature
        An entry of `device_kernels`.
    dtype : {"float32", "float64"}
    capability : (int, int)
        Compute capability.
    """
    types = f"void({signature.replace('T', dtype)})"
    text, _ = cuda.compile_ptx(function, types, cc=capability)
    return text


def simulated():
    """Whether kernels run on Numba's simulator (``NUMBA_ENABLE_CUDASIM=1``)."""
    return bool(config.ENABLE_CUDASIM)


def why_not():
    """Return None if CUDA kernels can run here, else the reason."""
    return None if cuda.is_available() else "no CUDA device"


ARRAYS = Arrays(
    why_not=why_not,
    upload=lambda array: cuda.to_device(contiguous(array)),
    refill=lambda there, array: there.copy_to_device(array),
    download=lambda there: there.copy_to_host(),
    empty=lambda shape, dtype: cuda.device_array(shape, dtype),
    wait=lambda: cuda.synchronize(),
)
"""Numba's device arrays."""


def resident_blocks(per_multiprocessor):
    """Count the blocks that run at the same time, of which so many fit a multiprocessor.

    They can wait for each other. The simulator runs one block after the other.
    """
    if simulated():
        return 1
    return per_multiprocessor * cuda.get_current_device().MULTIPROCESSOR_COUNT


@lru_cache(16)
def scratch(purpose, shape, dtype):
    """Device array that a kernel of one purpose writes to before it reads, kept between calls.

    To allocate memory of a device takes longer than many a kernel, and to free it waits for all.
    Calls follow each other on one stream, so that none meets another's numbers.
    """
    return cuda.device_array(shape, dtype)
