"""Numba's pool of threads, loaded so that it sleeps soon after a call."""

import importlib
import os
from contextlib import suppress

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
