"""Kernels that harm more than themselves: memory that runs away, a process that goes deaf."""

import os
import time

import numpy as np

from convgrad.kernels import kernel

_kept = []


@kernel("convolve", family="scipy")
def planted_runaway(signal, taps, *, mode):
    """Takes 64 MiB more and more, until it gets no more."""
    while True:
        _kept.append(np.ones(1 << 26, np.uint8))


@kernel("convolve", family="scipy")
def planted_deaf(signal, taps, *, mode):
    """Closes all that its process has open, and stays."""
    os.closerange(0, 4096)
    time.sleep(3600)
