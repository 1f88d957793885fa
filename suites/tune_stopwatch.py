"""Times kernels of ``convgrad tune`` at one size after the other, in workers of the engine."""

import math
import os
import tempfile
import time

import numpy as np

from convgrad.suites.machine import environment
from convgrad.suites.measure.forecast import Forecast
from convgrad.suites.workers import masters
from convgrad.suites.workers.crew import Crew, side_by_side
from convgrad.suites.workers.process import Lost

_FIRST_S, _ROUND_S = 5e-4, 2e-3
"""How long calls of a kernel are timed: at first, and in each round."""
_SLOW = 1.6
"""Kernels this many times slower than the fastest are not worth another round."""
LEFT_OUT = 6
"""A kernel that was not called is booked as this many times slower."""
_FAR_BEHIND = 12
"""As many times slower than the fastest a kernel is not called; less may be the shape's fault, of
which a forecast by work alone knows nothing."""
_SLOWEST_S = 0.1
"""A kernel whose call is predicted to take longer is left out."""
_DOUBTFUL = 2
"""Kernels foretold to be this many times slower than the fastest are not called."""
_COMPILING_S, _CALLS = 0.3, 10
"""A kernel whose first calls take longer than so many seconds and so many calls compiles."""


class Stopwatch:
    """Times kernels at one case after the other, in workers; a context manager.

    Parameters
    ----------
    random : numpy.random.Generator

    Attributes
    ----------
    waited : float
        Seconds that processes have started and kernels have compiled for, so far.
    """

    def __init__(self, random):
        self.random, self.begin = random, time.monotonic()
        self.crew = Crew(lambda n: environment.fair_environment(os.environ, n)[0])
        self.waited = 0.0
        self.folder = tempfile.TemporaryDirectory(prefix="convgrad-")
        self.home, self.prepared = None, False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.crew.close()
        self.folder.cleanup()

    @property
    def measured(self):
        """Seconds for everything else, so far."""
        return time.monotonic() - self.begin - self.waited

    def start(self, turn):
        """Have a worker for each candidate, and have all of them compile; returns candidates."""
        begin = time.monotonic()
        candidates = {kernel.name: kernel for kernel in turn.kernels}
        if self.home != (turn.stratum.operation, turn.threads):
            self.crew.dismiss()
        self.home = turn.stratum.operation, turn.threads
        self.prepared = turn.stratum.prepared
        self.forecast = Forecast()  # Plain calls, which pack, say nothing of prepared ones.
        wanted = {(name, 0): kernel for name, kernel in candidates.items()}
        limit = environment.available_bytes() // 2
        lost = self.crew.summon(wanted, turn.threads, limit)
        case = turn.stratum.draw(np.random.default_rng(0), turn.dtype)
        kept = self._keep(case)

        def compile_(name):
            try:
                self._load(candidates[name], case, kept)
                self.crew.ask((name, 0), "pace", 0)
            except Lost:
                lost[name, 0] = None

        side_by_side(compile_, list(candidates), environment.usable_cores())
        self.waited += time.monotonic() - begin
        return {name: kernel for name, kernel in candidates.items() if (name, 0) not in lost}

    def times(self, candidates, case, threads, rounds, always=(), foretold=None):
        """Seconds of a call of each kernel that serves a case.

        Returns
        -------
        dict of str to list of float
            Of kernels that are clearly slower than the fastest a single one, the better of two; of
            the others one a round, in the same rounds, ``always`` among them. None of those that
            are ``foretold`` to be slow, or were at smaller sizes.
        """
        foretold = foretold or {}
        doubtful = _DOUBTFUL * min(foretold.values(), default=math.inf)
        outline, kept = case.outline(), self._keep(case)
        soon = {n: self.forecast.seconds(k, case, threads) or 0 for n, k in candidates.items()}
        first = {}
        for name in sorted(candidates, key=soon.get):
            fastest = min(first.values(), default=math.inf)
            hopeless = foretold.get(name, 0) > doubtful or soon[name] > min(
                _FAR_BEHIND * fastest, _SLOWEST_S
            )
            if candidates[name].why_not_bound(outline) or (hopeless and name not in always):
                continue
            try:
                seconds = self._first(candidates[name], case, kept)
            except Lost:
                candidates.pop(name)
                continue
            if seconds is not None:
                first[name] = seconds
        limit = _SLOW * min(first.values(), default=0)
        for name in first:
            if first[name] > limit:  # Perhaps the machine was.
                first[name] = min(first[name], self._pace(name, _FIRST_S))
        close = [name for name in first if first[name] <= limit or name in always]
        found = {name: [seconds] for name, seconds in first.items()}
        for name in close:
            found[name] = []
        for _ in range(rounds):
            for name in self.random.permutation(close):
                found[str(name)].append(self._pace(str(name), _ROUND_S))
        for name, seconds in found.items():
            self.forecast.learn(candidates[name], case, threads, min(seconds))
        return found

    def _first(self, kernel, case, kept):
        """Seconds of the first calls; None where the kernel does not serve."""
        begin = time.monotonic()
        if "status" in self._load(kernel, case, kept):
            return None
        seconds = self._pace(kernel.name, _FIRST_S)
        if (spent := time.monotonic() - begin) > _COMPILING_S + _CALLS * seconds:
            self.waited += spent
        return seconds

    def _keep(self, case):
        return masters.keep(case.inputs(), self.folder.name)

    def _load(self, kernel, case, kept):
        call = "prepared" if self.prepared and kernel.prepares else "plain"
        return self.crew.ask((kernel.name, 0), "load", case, 0, 0, call, kept)

    def _pace(self, name, seconds):
        return self.crew.ask((name, 0), "pace", seconds)
