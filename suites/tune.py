"""``convgrad tune``: measure this machine's kernels at random sizes, for ``auto`` to choose by.

Sizes are drawn at random, so that no table is made for sizes that somebody has picked. Kernels of a
case run in workers of the engine, one awake at a time, in rounds; what is clearly slower drops out
after its first calls, and is not even called where earlier sizes foretell it: the time is for those
among which there is a choice.
"""

import json
import math
import os
import tempfile
import time
from dataclasses import dataclass, field

import numpy as np

from convgrad.kernels import Case, auto
from convgrad.kernels.timetable import LEFT_OUT, Timetable
from convgrad.suites.machine import environment, facts
from convgrad.suites.measure.forecast import Forecast
from convgrad.suites.workers import masters
from convgrad.suites.workers.crew import Crew, side_by_side
from convgrad.suites.workers.process import Lost

DTYPES = ("float32", "float64")
_FIRST_S, _ROUND_S, _ROUNDS = 5e-4, 2e-3, 3
"""How long calls of a kernel are timed: at first, and in each of so many rounds."""
_SLOW = 1.6
"""Kernels this many times slower than the fastest are not worth another round."""
_SLOWEST_S = 0.1
"""A kernel whose call is predicted to take longer is left out."""
_BATCH = 8
"""Cases that are drawn at a time, and measured the small ones first: they foretell the others."""
_HOPELESS = 4
"""A kernel that was never closer to the fastest is left out of a table."""
_DOUBTFUL = 2
"""Kernels foretold to be this many times slower than the fastest are not called ..."""
_FORETELLING = 16
"""... by so many cases ..."""
_SURPRISE = 0.1
"""... but for this share of the cases, in which all are called."""


def _octaves(random, low, high):
    """A size between two powers of two, every octave as likely."""
    return round(2 ** random.uniform(low, high))


def _sides(random, rank, low, high, most=None):
    """Sides whose product lies between two powers of two, unequal by up to about an octave."""
    total = random.uniform(low, high)
    shares = random.normal(0, 0.4, rank)
    exponents = total / rank + shares - shares.mean()
    sides = [max(1, round(2**e)) for e in exponents]
    return tuple(sides if most is None else map(min, sides, most))


def _convolve(random, rank):
    signal = _sides(random, rank, 5 + 3 * (rank > 1), 20)
    samples = math.log2(math.prod(signal))
    taps = _sides(random, rank, 1, min(12, samples, 30 - samples), signal)
    return {"signal": signal, "taps": taps, "mode": str(random.choice(["full", "same", "valid"]))}


def _fit_linear(random, rank):
    elements = random.uniform(6, 22)
    features = _octaves(random, 1, min(10, elements - 2))
    outputs = 1 if random.random() < 0.75 else _octaves(random, 1, 5)
    iterations = _octaves(random, 0, min(7, 25 - elements))
    samples = max(2, round(2**elements / features))
    return {"samples": samples, "features": features, "outputs": outputs, "iterations": iterations}


def _fit_filter(random, rank):
    signal = _sides(random, rank, 5, 18)
    samples = math.log2(math.prod(signal))
    taps = _sides(random, rank, 1, min(10, samples, 25 - samples), signal)
    return {"signal": signal, "taps": taps, "iterations": _octaves(random, 0, 3)}


SPACES = {
    "convolve": (_convolve, (1, 2, 3)),
    "fit_linear": (_fit_linear, (2,)),
    "fit_filter": (_fit_filter, (1, 2)),
}
"""How sizes of an operation are drawn, and for which ranks."""


@dataclass
class Stratum:
    """Cases that are predicted from each other: operation, rank, dtype and threads."""

    operation: str
    rank: int
    dtype: str
    threads: int
    cases: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    """By kernel, for each case."""

    def draw(self, random):
        """Make a case of random sizes."""
        sizes = SPACES[self.operation][0](random, self.rank)
        return Case.of(self.operation, self.dtype, **sizes)

    def foretell(self, case):
        """Seconds of each kernel, by the cases before; empty while these are few."""
        if len(self.cases) < _FORETELLING:
            return {}
        (kind, point), group = _traits(case), self.group()
        table = Timetable({"timings": {self.operation: [group]}}, "")
        return table.predict(self.operation, kind, self.threads, point)

    def learn(self, case, found, foretold):
        """Keep the seconds of a case; of kernels that were not called, those foretold.

        These go with how much slower or faster the machine was than foretold.
        """
        pace = np.median([found[name] / foretold.get(name, found[name]) for name in found])
        self.cases.append(case)
        self.seconds.append({n: float(s * pace) for n, s in foretold.items()} | found)

    def group(self):
        """What a table keeps."""
        traits = [_traits(case) for case in self.cases]
        names = sorted({name for row in self.seconds for name in row if _hopeful(name, self)})
        return {
            "kind": traits[0][0],
            "threads": self.threads,
            "points": [[round(value, 3) for value in point] for _, point in traits],
            "seconds": {name: [_short(row.get(name)) for row in self.seconds] for name in names},
        }


def _traits(case):
    arguments = case.outline()
    return case.definition.traits(*arguments.arrays, **arguments.options)


def _hopeful(name, stratum):
    return any(row[name] < _HOPELESS * min(row.values()) for row in stratum.seconds if name in row)


def _short(seconds):
    return None if seconds is None else float(f"{seconds:.4g}")


def strata(operations):
    """All strata of some operations, those that share workers side by side."""
    counts = sorted({1, environment.usable_cores()}, reverse=True)
    return [
        Stratum(operation, rank, dtype, threads)
        for threads in counts
        for operation in operations
        for rank in SPACES[operation][1]
        for dtype in DTYPES
    ]


class Stopwatch:
    """Times kernels at one case after the other, in workers; a context manager.

    Parameters
    ----------
    random : numpy.random.Generator
    """

    def __init__(self, random):
        self.random = random
        self.crew = Crew(lambda n: environment.fair_environment(os.environ, n)[0])
        self.forecast = Forecast()
        self.folder = tempfile.TemporaryDirectory(prefix="convgrad-")
        self.home = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.crew.close()
        self.folder.cleanup()

    def start(self, stratum):
        """Have a worker for each candidate, and have all of them compile; returns candidates."""
        candidates = {
            k.name: k
            for k in auto.candidates(stratum.operation)
            if k.why_not() is None and k.name != "python_loops"
        }
        if self.home != (stratum.operation, stratum.threads):
            self.crew.dismiss()
        self.home = stratum.operation, stratum.threads
        wanted = {(name, 0): kernel for name, kernel in candidates.items()}
        limit = environment.available_bytes() // 2
        lost = self.crew.summon(wanted, stratum.threads, limit)
        case = stratum.draw(np.random.default_rng(0))
        kept = self._keep(case)

        def compile_(name):
            try:
                self._load(name, case, kept)
                self.crew.ask((name, 0), "pace", 0)
            except Lost:
                lost[name, 0] = None

        side_by_side(compile_, list(candidates), environment.usable_cores())
        return {name: kernel for name, kernel in candidates.items() if (name, 0) not in lost}

    def times(self, candidates, case, threads, rounds, always=(), foretold=None):
        """Seconds of a call of each kernel that serves a case.

        Returns
        -------
        dict of str to list of float
            A single one of kernels that are clearly slower than the fastest; of the others one a
            round, in the same rounds, ``always`` among them. None of those that are ``foretold`` to
            be slow.
        """
        foretold = foretold or {}
        doubtful = _DOUBTFUL * min(foretold.values(), default=math.inf)
        outline, kept = case.outline(), self._keep(case)
        first = {}
        for name in self.random.permutation(list(candidates)):
            kernel = candidates[str(name)]
            soon = self.forecast.seconds(kernel, case, threads) or 0
            if foretold.get(kernel.name, 0) > doubtful:
                continue
            fastest = min(first.values(), default=math.inf)
            if kernel.why_not_bound(outline) or soon > min(LEFT_OUT * fastest, _SLOWEST_S):
                continue
            try:
                if "status" in self._load(kernel.name, case, kept):
                    continue
                first[kernel.name] = self._pace(kernel.name, _FIRST_S)
            except Lost:
                candidates.pop(kernel.name)
                continue
        limit = _SLOW * min(first.values(), default=0)
        close = [name for name in first if first[name] <= limit or name in always]
        found = {name: [seconds] for name, seconds in first.items()}
        for name in close:
            found[name] = []
        for _ in range(rounds):
            for name in self.random.permutation(close):
                found[str(name)].append(self._pace(str(name), _ROUND_S))
        for name, seconds in found.items():
            self.forecast.learn(candidates[name], case, threads, float(np.median(seconds)))
        return found

    def _keep(self, case):
        return masters.keep(case.inputs(), self.folder.name)

    def _load(self, name, case, kept):
        return self.crew.ask((name, 0), "load", case, 0, 0, "plain", kept)

    def _pace(self, name, seconds):
        return self.crew.ask((name, 0), "pace", seconds)


def tune(operations, seconds, progress, random):
    """Measure in so many seconds, each stratum as long; returns a table's content."""
    own = strata(operations)
    deadline = time.monotonic() + seconds
    with Stopwatch(random) as stopwatch:
        for number, stratum in enumerate(own):
            before = time.monotonic()
            candidates = stopwatch.start(stratum)
            now = time.monotonic()
            deadline += now - before  # what compiling takes, once, is not taken from measuring
            end = now + (deadline - now) / (len(own) - number)
            while time.monotonic() < end or not stratum.cases:
                batch = [stratum.draw(random) for _ in range(_BATCH)]
                for case in sorted(batch, key=lambda case: case.flops):
                    progress(_title(stratum, f"{len(stratum.cases)} sizes"))
                    foretold = {} if random.random() < _SURPRISE else stratum.foretell(case)
                    found = stopwatch.times(
                        candidates, case, stratum.threads, _ROUNDS, foretold=foretold
                    )
                    if found:
                        medians = {name: float(np.median(times)) for name, times in found.items()}
                        stratum.learn(case, medians, foretold)
                    if time.monotonic() > end:
                        break
    timings = {}
    for stratum in own:
        if stratum.cases:
            timings.setdefault(stratum.operation, []).append(stratum.group())
    told = facts.describe()
    return {
        "machine": {name: told[name] for name in ("cpu", "usable_cores") if name in told},
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "libraries": facts.libraries(),
        "timings": timings,
    }


def check(operations, count, progress, random):
    """Measure the regret of choosing by the tables, at sizes that they do not know.

    Returns
    -------
    list of dict
        operation, case, threads, choice, fastest, and ``regret``: by how much the choice is slower
        than the fastest, the median over rounds. Which one is the fastest is said by every other
        round, and how much faster it is by the rest: the luckiest of equal kernels is not faster.
    """
    own, rows = strata(operations), []
    with Stopwatch(random) as stopwatch:
        for number, stratum in enumerate(own):
            candidates = stopwatch.start(stratum)
            share = count * (number + 1) // len(own) - count * number // len(own)
            for case in sorted((stratum.draw(random) for _ in range(share)), key=lambda c: c.flops):
                progress(_title(stratum, f"{len(rows)} of {count} cases"))
                choice = _choice(stratum, case)
                found = stopwatch.times(candidates, case, stratum.threads, 9, always=(choice,))
                rounds = {name: np.array(own) for name, own in found.items() if len(own) > 1}
                if choice not in rounds:
                    continue
                fastest = min(rounds, key=lambda name: np.median(rounds[name][::2]))
                regret = float(np.median((rounds[choice] / rounds[fastest])[1::2])) - 1
                rows.append(
                    {
                        "operation": stratum.operation,
                        "case": case.label,
                        "threads": stratum.threads,
                        "choice": choice,
                        "fastest": fastest,
                        "regret": regret,
                    }
                )
    return rows


def _choice(stratum, case):
    """What ``auto`` chooses on so many threads."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(stratum.threads)
    try:
        table = auto.table_of(stratum.operation)
        return auto.explained(stratum.operation, table, case.outline()).choice
    finally:
        numba.set_num_threads(before)


def write(content, path):
    """Write a table where it belongs, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":")).replace('{"kind"', '\n{"kind"') + "\n"
    beside = path.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _title(stratum, rest):
    rank = f"{stratum.rank}-D {stratum.dtype}"
    return f"{stratum.operation}, {rank}, {stratum.threads} threads: {rest}"
