"""Arrays on a device, and kernels of arrays that lie there already.

Such a kernel is a function of device arrays that returns one. A plain call of it uploads its
inputs and downloads its result around that, as a caller with NumPy arrays needs it; a caller whose
data are on the device uses ``kernel.on_device`` and leaves them there.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import NamedTuple

import numpy as np


def contiguous(array):
    """The array, or a copy, with the strides of its shape even along sides of 1."""
    return np.ascontiguousarray(array).ravel().reshape(array.shape)


class Arrays(NamedTuple):
    """Device arrays of one library, and how they get there and back."""

    why_not: Callable
    """Returns None if the library can reach a device here, else the reason."""
    upload: Callable
    """A device array from a NumPy array."""
    refill: Callable
    """``refill(device_array, array)`` writes over what lies there."""
    download: Callable
    """A NumPy array from a device array, once it is computed."""
    empty: Callable
    """``empty(shape, dtype)``, on the device."""
    wait: Callable
    """Returns once everything that was started there is done."""


@dataclass(frozen=True)
class OnDevice:
    """A kernel's function of device arrays, and the kind of arrays that it takes.

    Attributes
    ----------
    function : callable
        Takes device arrays for the arrays of the operation, and for those among its options;
        normalised options, and ``out``, a device array for the result, where its signature has
        one. Returns a device array, perhaps before it is computed.
    arrays : Arrays
    """

    function: Callable
    arrays: Arrays

    def options(self, options, shape, dtype):
        """Options of a call as the function takes them.

        Parameters
        ----------
        options : dict
            Normalised, of NumPy arrays.
        shape, dtype
            Of the result.
        """
        ready = {
            name: self.arrays.upload(value) if isinstance(value, np.ndarray) else value
            for name, value in options.items()
        }
        if "out" in inspect.signature(self.function).parameters:
            ready["out"] = self.arrays.empty(shape, dtype)
        return ready

    def from_host(self, output_shape):
        """Make the function of NumPy arrays: upload, compute, download.

        ``output_shape`` is the operation's.
        """

        def call(*arrays, **options):
            shape = output_shape(*arrays, **options)
            there = [self.arrays.upload(array) for array in arrays]
            ready = self.options(options, shape, arrays[0].dtype)
            return self.arrays.download(self.function(*there, **ready))

        update_wrapper(call, self.function)
        del call.__wrapped__  # whose ``out`` is not one of this function
        return call
