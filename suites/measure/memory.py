"""How much memory a call needs at its worst moment: a pass of its own, in fresh processes.

The kernel of the operating system keeps the high-water mark of a process's memory. Read in a
process that has already computed other things, it shows their marks and their freed memory too.
So every measurement has a process to itself, forked from a *zygote*: a process that has imported
everything and computed nothing. A fork takes milliseconds where the imports take a second.
"""

import ctypes
import faulthandler
import gc
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc/self")
_RESET_HIGH_WATER = "5"
_PR_SET_PDEATHSIG, _PR_SET_THP_DISABLE = 1, 41
_IMPORTS = 120.0
"""Seconds that imports may take, beside the time for the measurement itself."""
_TAIL = 8000


class Outcome(NamedTuple):
    """What the memory pass found out about one kernel at one case."""

    status: str
    """One of ok, unsupported, unavailable, crashed, timed out, out of memory."""
    peak_bytes: int | None
    message: str
    """The first line says it all; what a crashed child wrote may follow."""


def why_not():
    """Say why memory cannot be measured on this system; None where it can."""
    if not hasattr(os, "fork") or not (_PROC / "clear_refs").exists():
        return "the high-water mark of memory can only be reset on Linux (/proc/self/clear_refs)"
    return None


def peak_bytes(call):
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
        Takes no arguments.

    Returns
    -------
    int or None
        None where the system does not let the mark be reset.
    """
    if why_not():
        return None
    _prctl(_PR_SET_THP_DISABLE, 1)
    result = call()
    del result
    gc.collect()
    _give_back_freed_memory()
    try:
        (_PROC / "clear_refs").write_text(_RESET_HIGH_WATER)
    except OSError:
        return None
    mark, before = _high_water(), _resident()
    result = call()
    peak, after = _high_water(), _resident()
    del result
    # a mark that stayed where it was is a rounding of the kernel's, not a peak
    risen = peak - before if peak > mark else 0
    return max(risen, after - before, 0)


class Zygote:
    """A process that measures kernels in children of its own, one at a time.

    It starts with the first measurement, and anew after it was lost. Nothing that a kernel does
    to its child reaches the zygote: a crash, a hang or a lack of memory costs one measurement.

    Parameters
    ----------
    environment : mapping of str to str
        Of the zygote and its children; `machine.fair_environment` makes it.
    modules : sequence of str
        Modules to import at the start, beside all that declare kernels.
    """

    def __init__(self, environment, modules=()):
        self._environment = dict(environment)
        self._modules = tuple(modules)
        self._process = self._connection = self._log = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def measure(self, kernel, case, seed=0, timeout=60.0):
        """Measure one kernel at one case.

        Parameters
        ----------
        kernel : str
            Name of a kernel of the case's operation.
        case : Case
        seed : int
            Of the inputs, which are made in the child.
        timeout : float
            Seconds for the inputs and two calls, compiling included.

        Returns
        -------
        Outcome

        Raises
        ------
        RuntimeError
            If the zygote cannot start; the message ends with what it wrote.
        """
        if reason := why_not():
            return Outcome("unavailable", None, reason)
        if self._process is None:
            self._start()
        try:
            self._connection.send((kernel, case, seed, timeout))
            if self._connection.poll(timeout + _IMPORTS):
                return Outcome(*self._connection.recv())
            message = "the zygote does not answer"
        except (EOFError, OSError):
            message = f"the zygote ended: {self._written()}"
        self.close()
        return Outcome("crashed", None, message)

    def close(self):
        """End the zygote, and the child that it may be waiting for."""
        if self._process is None:
            return
        self._connection.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._process = self._connection = self._log = None

    def _start(self):
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 `close` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "convgrad.suites.measure.memory", str(theirs.fileno())],
            env=self._environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        theirs.close()
        self._connection = Connection(ours.detach())
        try:
            self._connection.send((sys.path, self._modules))
            failure = self._connection.recv() if self._connection.poll(_IMPORTS) else "no answer"
        except (EOFError, OSError):
            failure = self._written()
        if failure is not None:
            self.close()
            raise RuntimeError(f"the process that measures memory cannot start: {failure}")

    def _written(self):
        return _tail(self._log.fileno())


def serve(connection):
    """Be a zygote: import what is asked for, then measure until the other side hangs up."""
    faulthandler.enable()
    path, modules = connection.recv()
    sys.path[:] = path
    try:
        from convgrad.kernels import registry

        registry.discover()
        for module in modules:
            importlib.import_module(module)
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(None)
    with suppress(EOFError, BrokenPipeError):
        while True:
            kernel, case, seed, timeout = connection.recv()
            _import_requirements(kernel, case)
            connection.send(_measure_in_child(kernel, case, seed, timeout, connection))


def _import_requirements(kernel, case):
    """Import once, before the fork, what a child would import each time; it says what fails."""
    from convgrad import kernels

    with suppress(Exception):
        for module in kernels.get(case.operation, kernel).requires:
            importlib.import_module(module)


def _measure_in_child(kernel, case, seed, timeout, connection):
    os.ftruncate(sys.stderr.fileno(), 0)
    os.lseek(sys.stderr.fileno(), 0, os.SEEK_SET)
    receiver, sender = Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        try:
            connection.close()
            sender.send(_outcome(kernel, case, seed))
        finally:
            os._exit(0)
    sender.close()
    _to_own_group(child)
    with receiver:
        ready = wait([receiver, connection], timeout)
        outcome = None
        with suppress(EOFError):
            outcome = receiver.recv() if receiver in ready else None
    # with it ends what it may have started
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, ended = os.waitpid(child, 0)
    if outcome is not None:
        return outcome
    if not ready:
        return "timed out", None, f"no result within {timeout:g} s"
    return _ending(os.waitstatus_to_exitcode(ended))


def _outcome(kernel, case, seed):
    """Measure, in the child; an exception becomes a status."""
    from convgrad import kernels
    from convgrad.kernels.data import Missing

    _to_own_group(0)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # where memory runs out, the system is to end this process and not its parents
    with suppress(OSError):
        (_PROC / "oom_score_adj").write_text("1000")
    try:
        function = kernels.get(case.operation, kernel).function
        arguments = case.inputs(seed)
        peak = peak_bytes(lambda: function(*arguments.arrays, **arguments.options))
    except kernels.Unsupported as error:
        return "unsupported", None, str(error)
    except Missing as error:
        return "unavailable", None, str(error)
    except BaseException as error:
        status = "out of memory" if _lacks_memory(error) else "crashed"
        return status, None, f"{type(error).__name__}: {error}"
    if peak is None:
        return "unavailable", None, "/proc/self/clear_refs cannot be written"
    return "ok", peak, ""


def _lacks_memory(error):
    """NumPy, SciPy and Numba raise MemoryError; torch and OpenCV say it in words of their own."""
    return isinstance(error, MemoryError) or any(
        sign in str(error) for sign in ("DefaultCPUAllocator", "OutOfMemoryError", "bad_alloc")
    )


def _ending(exit_code):
    """Explain a child that ended without a word; nobody but the system kills with SIGKILL."""
    if exit_code == -signal.SIGKILL:
        return "out of memory", None, "killed by the system"
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    with suppress(ValueError):
        how = signal.Signals(-exit_code).name
    # Python's report of a crash ends with a long list of modules
    written = _tail(sys.stderr.fileno()).partition("\n\nExtension modules:")[0]
    return "crashed", None, f"{how}\n{written}".rstrip()


def _to_own_group(process):
    """Both sides of a fork call it, so that it is done whoever runs first."""
    with suppress(OSError):
        os.setpgid(process, process)


def _tail(descriptor):
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, _TAIL, max(0, size - _TAIL)).decode(errors="replace").strip()


def _prctl(option, value):
    """Set an attribute of this process, where the system knows it."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _give_back_freed_memory():
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


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
