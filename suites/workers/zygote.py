"""The process that workers fork from: imports, computes nothing, and reaps.

It is started as ``python -m convgrad.suites.workers.zygote`` with its thread counts already in the
environment, and talks over a connection whose descriptor it inherits. Standard output belongs to
whoever looks at the terminal, so that nothing here writes to it.
"""

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import re
import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path

from convgrad.kernels import registry
from convgrad.suites.workers import worker


def main():
    """Import, then fork whatever is asked for."""
    setup = json.loads(sys.argv[1])
    sys.path[:] = setup["path"]
    _die_with_parent()
    faulthandler.enable()
    registry.discover()
    _start_numba()
    _breed(Connection(setup["descriptor"]), setup["modules"], setup["threads"])


def _breed(control, modules, threads):
    """Be a zygote: fork workers and other zygotes, and reap them."""
    for module in modules:
        importlib.import_module(module)
    gc.freeze()  # what is imported need not be looked through again and again
    control.send("ready")
    while True:
        try:
            what, *request = control.recv()
        except EOFError:
            return
        if what == "reap":
            control.send(os.waitstatus_to_exitcode(os.waitpid(*request, 0)[1]))
            continue
        handles = recv_handle(control), recv_handle(control)
        process = os.fork()
        if process == 0:
            control.close()
            _become({"breed": _breed, "work": _work}[what], *handles, *request, threads)
        for handle in handles:
            os.close(handle)
        control.send(process)


def _become(task, descriptor, errors, *request):
    """Do what the fork is for, in a process group that ends with the parent, then end."""
    try:
        os.setsid()  # it is stopped, continued and killed with all that it starts
        os.dup2(errors, 1)
        os.dup2(errors, 2)
        _die_with_parent()
        task(Connection(descriptor), *request)
    except Exception:
        traceback.print_exc()
        os._exit(1)
    finally:
        os._exit(0)


def _work(connection, operation, kernel, memory_bytes, threads):
    _keep_freed_memory()
    if memory_bytes:
        limit = _data_bytes() + memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    worker.serve(connection, operation, kernel, threads)


def _die_with_parent():
    """Have the kernel kill this process when its parent is gone, even while it is stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")  # where memory runs out, this process goes, not the coordinator


def _keep_freed_memory():
    """Have the allocator keep what is freed, as far as it can be told to.

    Left alone, glibc decides by what a process happened to free before whether a call's arrays of
    some megabytes are at hand, or are given back to the system and faulted in anew by every call.
    Equal processes then differ by a factor of two for as long as they live.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes; beyond, every call pays
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def _data_bytes():
    """Private memory that this process has already asked for."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) << 10
    return 0


def _start_numba():
    """Have Numba set up its compiler, which it does once a process, whatever it compiles."""
    import numba
    import numpy as np

    importlib.import_module("numba.parfors.parfor")
    numba.njit(lambda values: values[0])(np.ones(1, np.float32))


if __name__ == "__main__":
    main()
