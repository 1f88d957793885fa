"""The one place that decides which CUDA provider compiles our kernels.

NVIDIA's numba-cuda, where it is installed, takes the place of Numba's own target by itself; the
rest of the package imports ``cuda`` from here and stays within what both of them understand: no
``min``, ``max`` or ``divmod`` inside device code.
"""

import numpy as np

if not hasattr(np, "row_stack"):
    # NumPy 2.5 dropped it, and numba-cuda 0.30 calls it when it compiles.
    np.row_stack = np.vstack  # noqa: NPY201

from numba import config, cuda

__all__ = ["cuda", "device_kernel", "device_kernels", "ptx", "simulated", "why_not"]

device_kernels = []
"""Every function declared by `device_kernel`, with its signature: what a PTX check goes through."""


def device_kernel(signature):
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
        return cuda.jit(function)

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
