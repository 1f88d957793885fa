"""What runs in a worker process: one kernel, the case it is measured at, and nothing else."""

import gc
import math
import time
from contextlib import nullcontext, suppress
from itertools import cycle, islice

import numpy as np
from numba.core import event

from convgrad.kernels import registry
from convgrad.kernels.data import Missing
from convgrad.results.schema import ON_DEVICE
from convgrad.suites.machine import device_roofs, environment, facts, roofs, spin
from convgrad.suites.workers import masters, memory
from convgrad.suites.workers.judge import Judgement, judge, wrong
from convgrad.suites.workers.places import ALIGNMENT, PLACES, Device, Host, aligned_copy

_BALLAST = 1024, 9216, 64
"""Smallest and largest size of blocks of memory that stay taken for a sample, and their number."""
_HOLES = 8
"""So many blocks that others have left are tried before the place of a result is left to itself."""
_BRIEF_S, _TRIALS = 0.02, 5
"""A call that takes less is tried out so many times."""
_SHORTEST_S, _LONG_S, _ENOUGH = 2e-5, 0.01, 4
"""Where calls are paced: calls timed together last as long; so many times are enough, or fewer
after so many seconds."""
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
        self.place = Host(self.random)
        self.unload()

    def unload(self):
        """Let go of the case and of everything made for it."""
        self.master = self.sets = self.ballast = self.output = self.judgement = None
        self.calls = self.function = self.options = self.shape = self.keep = None
        self.returned, self.sign, self.reused = None, 1, 0

    def load(self, case, seed, rotation_bytes=0, call="plain", kept=None):
        """Take up the master inputs; returns what there is to know before the first call.

        With ``rotation_bytes``, calls rotate through copies of the inputs that take at least as
        much: none of them is found in a cache. ``call`` is one of
        `schema.CALLS`. ``kept`` is what `masters.read` needs; without, inputs are made here.
        """
        self.unload()
        try:
            arguments = masters.read(*kept) if kept else case.inputs(seed)
        except Missing as missing:
            return {"status": "unavailable", "detail": str(missing)}
        if reason := self.kernel.why_not_bound(arguments):
            return {"status": "unsupported", "detail": reason}
        self.master = arguments
        self.given = range(len(arguments.arrays))
        self.copies = 1 + rotation_bytes // sum(array.nbytes for array in arguments.arrays)
        self.large = self.copies * sum(array.nbytes for array in arguments.arrays) > KEPT_BYTES
        self.odd = list(self.definition.shapes(**dict(case.sizes))[0]).index(self.definition.odd)
        fact = {}
        if "prepared" not in call:  # what is kept is not what a call with given weights allocates
            fact["workspace_bytes"] = self.kernel.workspace_bytes(arguments)
        self.function, self.options = self.kernel.function, arguments.options
        shape = self.definition.output_shape(*arguments.arrays, **arguments.options)
        self.place = Host(self.random)
        if call == ON_DEVICE:
            own = self.kernel.on_device
            self.place, self.function = Device(own.arrays), own.function
            self.options = own.options(arguments.options, shape, arguments.dtype)
        self.result_bytes = math.prod(shape) * self.master.dtype.itemsize
        if "out" in call or self.options.pop("out", None) is not None:
            self.shape = shape
        if "prepared" in call:
            fact["prepare_s"] = self.prepare()
        return fact

    def prepare(self):
        """Keep the weights, which are the last array of a call; returns seconds."""
        given, options = self.master.arrays[-1], self.options
        weights = aligned_copy(given)
        self.kernel.prepares(weights, **options)  # the first time may compile
        start = time.perf_counter_ns()
        self.function = self.kernel.prepares(weights, **options)
        seconds = (time.perf_counter_ns() - start) / 1e9
        self.keep = lambda: self.kernel.prepares(aligned_copy(given), **options)
        self.given, self.options = self.given[:-1], {}
        return seconds

    def lay_out(self):
        """Make the inputs of the next sample."""
        if self.large and self.sets is not None and self.reused < 3:
            self.reused += 1
            return
        self.reused = 0
        self.sets = self.calls = self.ballast = None
        # What a call allocates for itself comes to lie elsewhere as well: numpy.convolve takes 17 %
        # longer where its reversed copy of the taps straddles cache lines.
        self.ballast = [np.empty(size, np.uint8) for size in self.random.integers(*_BALLAST)]
        self.sets = [
            [self.place.put(self.master.arrays[i]) for i in self.given] for _ in range(self.copies)
        ]
        self.calls = [(inputs, self.options | self.target()) for inputs in self.sets]
        if self.result_bytes <= KEPT_BYTES:  # larger ones get pages of their own anyway
            self.ballast += self.lead()
        self.sign = 1

    def lead(self):
        """Have the next two results, of which calls in turn hold both, lie where chance decides.

        Stores of whole registers take longer where they straddle cache lines, and left alone a
        process puts its results at the same few addresses for as long as it lives. So a room is
        taken and shrunk where it lies, and whatever else a result would fit into is taken too,
        until one comes to lie in what the room gave back.
        """
        most, taken, results = PLACES * ALIGNMENT, [], []
        for _ in range(2):
            room = np.empty(self.result_bytes + most, np.uint8)
            start = room.ctypes.data
            room.resize(self.random.integers(1, most), refcheck=False)
            taken.append(room)
            for _ in range(_HOLES):
                result = np.empty(self.result_bytes, np.uint8)
                if 0 <= result.ctypes.data - start < most:
                    results.append(result)
                    break
                taken.append(result)
        return taken

    def target(self):
        """Where the result of a call is to go, as options of the call."""
        if self.shape is None:
            return {}
        return {"out": self.place.put(np.full(self.shape, np.nan, self.master.dtype))}

    def flip(self):
        """Change the sign of the argument that the result is odd in, where it lies."""
        for inputs in self.sets:
            self.place.negate(inputs[self.odd])
        self.sign = -self.sign

    def call(self):
        inputs, options = self.calls[-1]
        return self.function(*inputs, **options)

    def check(self, judgement, whole=True):
        """Make the first call, compare it with the reference, and time a second call.

        Parameters
        ----------
        judgement : dict
            Paths, as `judge.judge` gives them.
        whole : bool
            Else only a few elements of the result are compared, and there is no second call.

        Returns
        -------
        dict
            ``first_s`` and ``second_s``, the calls' seconds; ``compiled``, whether the first one
            compiled; ``error_ratio``, ``relative_error``; and ``status``, ``detail`` if the result
            is wrong.
        """
        self.judgement = Judgement(judgement, self.kernel.algorithm)
        self.lay_out()
        with event.install_recorder("numba:compile") as compiled:
            first = self.timed_call()
        verdict = self.verify() if whole else self.glance()
        if "status" in verdict:
            return verdict
        verdict |= {"first_s": first, "compiled": bool(compiled.buffer)}
        if not whole:
            return verdict
        self.flip()
        return verdict | {"second_s": self.timed_call()}

    def try_out(self, case, seed):
        """Time a first call, and the fastest of some more; returns as `check`, unchecked.

        Other kernels compile meanwhile: one call that waits for them would foretell, of a case
        that is a thousand times as large, that it takes too long.
        """
        refusal = self.load(case, seed)
        if "status" in refusal:
            return refusal
        self.lay_out()
        with event.install_recorder("numba:compile") as compiled:
            first = self.timed_call()
        calls = [self.timed_call()]
        while len(calls) < _TRIALS and calls[-1] < _BRIEF_S:
            calls.append(self.timed_call())
        second = min(calls)
        self.unload()
        return {"first_s": first, "second_s": second, "compiled": bool(compiled.buffer)}

    def timed_call(self):
        """Call once and keep the output; returns seconds."""
        start = self.place.now()
        result = self.call()
        seconds = (self.place.now() - start) / 1e9
        self.take(result)
        return seconds

    def take(self, result):
        """Keep what a call has returned, and its numbers."""
        self.returned, self.output = result, self.place.fetch(result)

    def sample(self, loops):
        """Time ``loops`` calls on new inputs after one untimed call.

        Returns
        -------
        (int, int, bool) or dict
            Wall and CPU time in ns, and whether something was compiled meanwhile; status and
            detail where the last output is visibly wrong.
        """
        if isinstance(self.output, np.ndarray) and self.output.flags.writeable:
            self.output.fill(np.nan)  # a kernel that hands out its last result is found out
        # What a process lets go of is what it is given next. The old arrays stay until the end, so
        # that others get their pages: where these lie decides how much of them a cache can hold.
        kept = None if self.large else (self.sets, self.calls, self.output)
        self.output = self.returned = None
        self.lay_out()
        with environment.apart():
            self.call()
        self.flip()
        function, calls = self.function, cycle(self.calls)
        gc.disable()
        with event.install_recorder("numba:compile") as compiled:
            cpu = time.process_time_ns()
            start = self.place.now()
            # A result is let go of at once: the next call finds its memory, as it did untimed.
            for inputs, options in islice(calls, loops - 1):
                function(*inputs, **options)
            inputs, options = next(calls)
            result = function(*inputs, **options)
            wall = self.place.now() - start
            cpu = time.process_time_ns() - cpu
        gc.enable()
        self.take(result)
        del kept
        memory.give_back_freed_memory()
        return self.glance() or (wall, cpu, bool(compiled.buffer))

    def pace(self, seconds):
        """Seconds of a call, unchecked: the first quartile of some calls."""
        self.lay_out()
        with environment.apart():
            self.call()
        inputs, options = self.calls[-1]
        times, loops, begin = [], 1, time.perf_counter()
        while True:
            start = time.perf_counter()
            for _ in range(loops):
                self.function(*inputs, **options)
            now = time.perf_counter()
            times.append((now - start) / loops)
            if now - start < _SHORTEST_S:
                loops, times = 2 * loops, []
            elif now > begin + seconds and (len(times) >= _ENOUGH or now > begin + _LONG_S):
                return float(np.quantile(times, 0.25))

    def glance(self):
        """Judge a few elements of the last output; empty if they are right."""
        if self.judgement.probe(self.sign * np.asarray(self.output), self.random) > 1:
            return wrong("elements of a result are not what they should be")
        return {}

    def verify(self):
        """Judge the last output, and whether the inputs are what they were."""
        if not isinstance(self.output, np.ndarray):
            return self.judgement.verdict(self.output, self.master.dtype)
        if self.shape and not any(self.returned is options["out"] for _, options in self.calls):
            return wrong("did not return the array that it was given")
        for inputs in self.sets:
            for i, array in zip(self.given, inputs):
                master, array = self.master.arrays[i], self.place.fetch(array)
                if not np.array_equal(array, self.sign * master if i == self.odd else master):
                    return wrong("changed its inputs")
        signed = self.output if self.sign == 1 else -self.output
        return self.judgement.verdict(signed, self.master.dtype)

    def weigh(self, case, seed, call="plain", kept=None):
        """Measure the peak memory of a call, in a process that has done nothing else.

        Weights count that a prepared call keeps, and models; those that are given do not.
        """
        refusal = self.load(case, seed, 0, call, kept)
        if "status" in refusal:
            return refusal
        self.lay_out()
        if (make := self.kernel.afresh or self.keep) is None:
            return {"peak_bytes": memory.peak_bytes(self.call)}
        inputs, options = self.calls[-1]
        self.function = None
        peak = memory.peak_bytes(lambda made: made(*inputs, **options), lambda: (make(),))
        return {"peak_bytes": peak}


def serve(connection, operation, kernel, threads):
    """Answer requests ``(method, arguments)`` until the connection closes.

    Without a kernel there are only the methods that need none. A process of one thread is pinned
    while it is timed; what else it does may take place on any core.
    """
    methods = {
        "judge": judge,
        "roof": roofs.measure,
        "device_roof": device_roofs.measure,
        "spin": spin.spin,
        "multiply_add_probe": roofs.multiply_add_probe,
        "read_probe": roofs.read_probe,
        "overhead": spin.call_overhead_s,
        "pools": facts.thread_pools,
        "learn": _learn,
        "find": _find,
    }
    if kernel is not None:
        worker = Worker(operation, kernel)
        names = ("load", "try_out", "check", "sample", "pace", "verify", "unload", "weigh")
        methods |= {name: getattr(worker, name) for name in names}
    with suppress(EOFError):
        while True:
            method, arguments = connection.recv()
            try:
                with environment.pinned(threads) if method in _TIMING else nullcontext():
                    reply = methods[method](*arguments)
            except Exception as error:
                reply = _told(error)
            connection.send(reply)


def _learn(*arguments):
    """Train a model of a study; imported here, as most runs have none."""
    from convgrad.suites.studies.training import learn

    return learn(*arguments)


def _find(function, *arguments):
    """Have a finding of linear analysis; imported here, as most runs have none."""
    from convgrad.suites.linear import findings

    return getattr(findings, function)(*arguments)


_TIMING = ("sample", "roof", "spin", "multiply_add_probe", "read_probe", "overhead")


def _told(error):
    """An exception as facts of a cell."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in _LACKS_MEMORY):
        return {"status": "out of memory", "detail": text}
    return {"status": "crashed", "detail": text}


_LACKS_MEMORY = ("DefaultCPUAllocator", "OutOfMemoryError", "bad_alloc")
"""How torch and OpenCV say it, which raise no MemoryError."""
