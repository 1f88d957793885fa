"""Pools of threads that leave each other the cores: Numba's sleeps soon, BLAS's rests."""

import functools
import importlib
import os
from contextlib import suppress

from threadpoolctl import ThreadpoolController

SPINS = "4000"
"""How often an idle thread of libgomp looks for work before it sleeps: about 0.1 ms.

Left alone it looks 300,000 times, and takes a core for 8 ms after every call from whatever comes
next. Where the system has put it on the core of the thread that it waits for, it holds that one up
for as long. Asleep, it takes some 30 us to wake, which calls that follow each other do not pay.
"""


def load_pool():
    """Load Numba's OpenMP pool, unless the environment says how its threads are to wait.

    libgomp reads the environment once, when it is loaded; other libraries bring copies of their
    own, which are not touched.
    """
    if os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        with suppress(ImportError):  # Numba was built for another pool
            importlib.import_module("numba.np.ufunc.omppool")
    finally:
        del os.environ["GOMP_SPINCOUNT"]


@functools.cache
def _blas():
    return ThreadpoolController().select(user_api="blas")


def one_blas_thread():
    """Hold BLAS to one thread while a ``with`` block runs.

    A thread of OpenBLAS looks for work for some 20 ms after a product, on a core that the compiled
    loops of the next layer want: a step of training a small convolutional network took twice as
    long on two cores. Dense layers beside convolutions are too small to make up for that.
    """
    return _blas().limit(limits=1)
