"""The process in which one kernel runs: answers one request at a time, and sleeps in between.

It is started as ``python -m convgrad.suites.measure.worker`` with its thread counts already in the
environment, and talks over a connection whose descriptor it inherits. Standard output belongs to
whoever looks at the terminal, so that nothing here writes to it.
"""

import contextlib
import ctypes
import faulthandler
import gc
import json
import os
import signal
import sys
import time
from itertools import repeat
from multiprocessing.connection import Connection

import numpy as np

from convgrad.kernels import registry
from convgrad.kernels.data import Missing
from convgrad.kernels.operation import error_ratio
from convgrad.suites.measure import machine

OPERATIONS = (
    "convgrad.kernels.convolution.operations",
    "convgrad.kernels.gradient_descent.operations",
)
ALIGNMENT = 64  # bytes: a cache line, and the widest vector register
KEPT_BYTES = 32 * 2**20
"""Inputs above this are laid out anew only every few rounds: the copy costs more than a sample."""


class Worker:
    """One kernel and the case that it is measured at.

    Inputs are copies of a kept master, made anew for every sample at an address that chance
    decides: where arrays lie can change a kernel's time by a third for as long as they lie there
    (after Curtsinger and Berger, 2013). The sign of one argument flips between the untimed and the
    timed calls of a sample, in place, and the sign of the result has to follow: an implementation
    that remembers results is found out.
    """

    def __init__(self, operation, name):
        self.kernel = registry.get(operation, name)
        self.definition = registry.operation(operation)
        self.random = np.random.default_rng()
        self.unload()

    def unload(self):
        """Let go of the case and of everything made for it."""
        self.master = self.inputs = self.ballast = self.output = None
        self.sign, self.reused = 1, 0

    def load(self, case, seed):
        """Make the master inputs; returns what there is to know before the first call."""
        self.unload()
        try:
            arguments = case.inputs(seed)
        except Missing as missing:
            return {"status": "unavailable", "detail": str(missing)}
        if reason := self.kernel.why_not_bound(arguments):
            return {"status": "unsupported", "detail": reason}
        self.master = arguments
        self.odd = list(self.definition.shapes(**dict(case.sizes))[0]).index(self.definition.odd)
        return {"workspace_bytes": self.kernel.workspace_bytes(arguments)}

    def lay_out(self):
        """Make the inputs of the next sample."""
        large = sum(array.nbytes for array in self.master.arrays) > KEPT_BYTES
        if large and self.inputs is not None and self.reused < 3:
            self.reused += 1
            return
        self.reused = 0
        self.inputs = self.ballast = None
        self.ballast = np.empty(self.random.integers(1, 1 << 16), np.uint8)
        self.inputs = [_copy(array) for array in self.master.arrays]
        self.sign = 1

    def flip(self):
        """Change the sign of the argument that the result is odd in, where it lies."""
        odd = self.inputs[self.odd]
        np.negative(odd, out=odd)
        self.sign = -self.sign

    def call(self):
        return self.kernel.function(*self.inputs, **self.master.options)

    def check(self, judgement):
        """Make the first call, compare it with the reference, and time a second call.

        Parameters
        ----------
        judgement : dict
            Paths of ``reference`` and, by algorithm, of ``bounds``.

        Returns
        -------
        dict
            ``first_s`` and ``second_s``, the calls' seconds; ``compiled``, whether the first one
            compiled; ``error_ratio``; and ``status``, ``detail`` if the result is wrong.
        """
        self.judgement = judgement
        self.lay_out()
        with _compilations() as compiled:
            first = self.timed_call()
        verdict = self.verify()
        if "status" in verdict:
            return verdict
        self.flip()
        return verdict | {
            "first_s": first,
            "second_s": self.timed_call(),
            "compiled": bool(compiled),
        }

    def try_out(self, case, seed):
        """Time two calls at a small case; returns as `check`, unchecked."""
        refusal = self.load(case, seed)
        if "status" in refusal:
            return refusal
        self.lay_out()
        with _compilations() as compiled:
            first = self.timed_call()
        second = self.timed_call()
        self.unload()
        return {"first_s": first, "second_s": second, "compiled": bool(compiled)}

    def timed_call(self):
        """Call once and keep the output; returns seconds."""
        start = time.perf_counter_ns()
        self.output = self.call()
        return (time.perf_counter_ns() - start) / 1e9

    def sample(self, loops):
        """Time ``loops`` calls on new inputs after one untimed call.

        Returns
        -------
        (int, int) or dict
            Wall and CPU time in ns; status and detail where the last output is visibly wrong.
        """
        self.lay_out()
        if isinstance(self.output, np.ndarray) and self.output.flags.writeable:
            self.output.fill(np.nan)  # a kernel that hands out its last result is found out
        result = self.call()
        self.flip()
        gc.disable()
        cpu = time.process_time_ns()
        start = time.perf_counter_ns()
        for _ in repeat(None, loops):
            result = self.call()
        wall = time.perf_counter_ns() - start
        cpu = time.process_time_ns() - cpu
        gc.enable()
        self.output = result
        return self.probe() or (wall, cpu)

    def probe(self):
        """Compare a few elements of the last output: cheap enough for every sample."""
        reference, bound = self._judgement()
        at = self.random.integers(reference.size, size=16)
        bound = np.broadcast_to(bound, reference.shape)
        ratio = error_ratio(
            self.sign * np.asarray(self.output).flat[at], reference.flat[at], bound.flat[at]
        )
        return None if ratio <= 1 else _wrong("a timed call did not compute its result")

    def verify(self):
        """Judge the last output, and whether the inputs are what they were."""
        shape = self.definition.output_shape(*self.master.arrays, **self.master.options)
        output, dtype = self.output, self.master.dtype
        if not isinstance(output, np.ndarray):
            return _wrong(f"returned {type(output).__name__}, not an array")
        if output.shape != shape or output.dtype != dtype:
            return _wrong(f"returned {output.dtype} {output.shape}, not {dtype} {shape}")
        for i, (array, master) in enumerate(zip(self.inputs, self.master.arrays)):
            if not np.array_equal(array, self.sign * master if i == self.odd else master):
                return _wrong("changed its inputs")
        ratio = error_ratio(output * self.sign, *self._judgement())
        if ratio > 1:
            return {**_wrong(f"error of {ratio:.3g} times the bound"), "error_ratio": ratio}
        return {"error_ratio": ratio}

    def _judgement(self):
        paths = self.judgement["reference"], self.judgement["bounds"][self.kernel.algorithm]
        return tuple(np.load(path, mmap_mode="r") for path in paths)


def _wrong(detail):
    return {"status": "wrong", "detail": detail}


def _copy(array):
    """Copy into memory of its own that starts at a cache line."""
    buffer = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    copy = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@contextlib.contextmanager
def _compilations():
    """List Numba's compilations (not its loads from the cache) inside the ``with``."""
    if "numba" not in sys.modules:
        yield []
        return
    from numba.core import event

    with event.install_recorder("numba:compile") as recorder:
        seen = []
        yield seen
    seen.extend(recorder.buffer)


def judge(case, seed, algorithms, folder):
    """Compute reference and bounds of a case into files, for all its kernels to be held to.

    Returns
    -------
    dict
        ``reference``: path; ``bounds``: path by algorithm; or ``status`` and ``detail``.
    """
    try:
        arguments = case.inputs(seed)
    except Missing as missing:
        return {"status": "unavailable", "detail": str(missing)}
    definition = case.definition
    paths = {"reference": os.path.join(folder, "reference.npy"), "bounds": {}}
    np.save(paths["reference"], definition.reference(*arguments.arrays, **arguments.options))
    for algorithm in algorithms:
        paths["bounds"][algorithm] = os.path.join(folder, f"bound-{algorithm}.npy")
        bound = definition.bound(algorithm, *arguments.arrays, **arguments.options)
        np.save(paths["bounds"][algorithm], bound)
    return paths


def _roof(dtype, threads):
    from convgrad.suites.measure import roofline

    return roofline.measure(dtype, threads)


def die_with_parent():
    """Have the kernel kill this process when its coordinator is gone, even while it is stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")  # where memory runs out, this process goes, not the coordinator


def main():
    """Serve requests ``(method, arguments)`` until the connection closes."""
    setup = json.loads(sys.argv[1])
    sys.path[:] = setup["path"]
    die_with_parent()
    faulthandler.enable()
    machine.pin(setup["threads"])
    connection = Connection(setup["descriptor"])
    registry.discover(only=[*OPERATIONS, *setup["modules"]])
    for module in setup["requires"]:
        __import__(module)
    methods = {"judge": judge, "roof": _roof, "pools": machine.blas}
    if setup["kernel"]:
        worker = Worker(setup["operation"], setup["kernel"])
        methods |= {
            name: getattr(worker, name)
            for name in ("load", "try_out", "check", "sample", "verify", "unload")
        }
    gc.freeze()  # what is imported need not be looked through again and again
    connection.send("ready")
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            reply = methods[method](*arguments)
        except MemoryError as error:
            reply = {"status": "out of memory", "detail": str(error) or "MemoryError"}
        except Exception as error:
            reply = {
                "status": "crashed",
                "detail": f"{type(error).__name__}: {error}".splitlines()[0],
            }
        connection.send(reply)


if __name__ == "__main__":
    main()
