"""Inputs of a case, made once for all processes that copy them.

Drawing them, and working out the step of a descent, takes longer than many a kernel.
"""

import os

import numpy as np

from convgrad.kernels.operation import Arguments


def keep(arguments, folder):
    """Keep validated arguments in files; returns what `read` needs, and a pipe can carry."""
    paths = [os.path.join(folder, f"input-{i}.npy") for i in range(len(arguments.arrays))]
    for path, array in zip(paths, arguments.arrays):
        np.save(path, array)
    return paths, arguments.options


def read(paths, options):
    """Arguments from files: read-only, and in memory only as far as they are looked at."""
    return Arguments(tuple(np.load(path, mmap_mode="r") for path in paths), options)
