"""``convgrad tune``: measure this machine's kernels at random sizes, for ``auto`` to choose by.

Sizes are drawn at random, so that no table is made for sizes that somebody has picked. Kernels of a
case run in workers of the engine, one awake at a time, in rounds; what is clearly slower drops out
after its first calls, and is not even called where earlier sizes foretell it: the time is for those
among which there is a choice. Of its rounds a kernel's least time counts: what else ran in them
only made them longer, and to choose is to compare kernels, not moments.
"""

import time
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from convgrad.kernels import Case, auto
from convgrad.kernels.timetable import PREPARED, Timetable, place
from convgrad.suites.machine import environment, facts
from convgrad.suites.tune_sizes import DTYPES, SPACES
from convgrad.suites.tune_stopwatch import LEFT_OUT, Stopwatch
from convgrad.suites.tune_table import short

_ROUNDS = 3
"""In which kernels are timed."""
_BATCH = 8
"""Cases that are drawn at a time, and measured the small ones first: they foretell the others."""
_HOPELESS = 4
"""A kernel that was never closer to the fastest is left out of a table."""
_FORETELLING, _RENEWED = 16, 1.2
"""So many cases and more foretell others; anew when there are so many times as many ..."""
_SURPRISE = 0.1
"""... but for this share of the cases, in which all kernels are called."""
_UNKNOWN = 0.1
"""Regret that counts as one more case, before anything is known."""
_SHORTEST_S = 0.5
"""Of a second turn: for less, workers are not started again."""


@dataclass
class Stratum:
    """Cases that are predicted from each other: all of one operation and kind."""

    operation: str
    kind: str
    points: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    """By kernel, for each point."""
    table: Timetable | None = None
    """Of most of the points; None while they are few."""

    @property
    def prepared(self):
        """Whether weights are kept, by kernels that can."""
        return self.kind.endswith(PREPARED)

    def draw(self, random, dtype):
        """Make a case of random sizes."""
        sizes = SPACES[self.operation][0](random, self.kind.removesuffix(PREPARED))
        return Case.of(self.operation, dtype, **sizes)

    def foretell(self, case, threads, able):
        """Seconds of the kernels that are able, by the cases before; empty while these are few."""
        known = len(self.table.content["timings"][self.operation][0]["points"]) if self.table else 0
        if len(self.points) >= max(_FORETELLING, _RENEWED * known):
            self.table = Timetable({"timings": {self.operation: [self.group()]}}, "")
        if self.table is None:
            return {}
        foretold = self.table.predict(self.operation, *_where(case, threads))
        return {name: foretold[name] for name in able if name in foretold}

    def learn(self, case, threads, found, foretold, able):
        """Keep the seconds of a case; of kernels that were able but not called, those foretold.

        These go with how much slower or faster the machine was than foretold.
        """
        pace = float(np.median([found[name] / foretold.get(name, found[name]) for name in found]))
        slow = LEFT_OUT * min(found.values())
        self.points.append([round(value, 3) for value in _where(case, threads)[1]])
        expected = {n: pace * foretold[n] if n in foretold else slow for n in able}
        self.seconds.append(expected | found)

    def group(self):
        """What a table keeps."""
        names = sorted({name for row in self.seconds for name in row if _hopeful(name, self)})
        seconds = {name: [short(row.get(name)) for row in self.seconds] for name in names}
        return {"kind": self.kind, "points": list(self.points), "seconds": seconds}


@dataclass
class Turn:
    """What is measured in a row, in the same workers."""

    stratum: Stratum
    dtype: str
    threads: int
    regrets: list = field(default_factory=list)
    """By how much what was foretold to be the fastest was slower than that."""

    @property
    def title(self):
        stratum = self.stratum
        return f"{stratum.operation}, {stratum.kind} {self.dtype}, {self.threads} threads"

    @property
    def kernels(self):
        """Those among which there is a choice."""
        candidates = auto.candidates(self.stratum.operation, self.threads)
        return [k for k in candidates if k.why_not() is None and k.name != "python_loops"]

    @property
    def share(self):
        """Of the time: the more coordinates, the more cases; one alone where nothing competes."""
        if len(self.kernels) == 1:
            return 0
        case = self.stratum.draw(np.random.default_rng(0), self.dtype)
        return len(_where(case, self.threads)[1])

    @property
    def doubt(self):
        """Mean regret, of which a disturbed one is not to say too much."""
        return float(np.mean(np.minimum([_UNKNOWN, *self.regrets], 1)))

    def measure(self, stopwatch, due, tell):
        """Measure until a moment has come, one case at least."""
        tell("compiling")
        candidates, done, random = stopwatch.start(self), 0, stopwatch.random
        while not done or stopwatch.measured < due:
            batch = [self.stratum.draw(random, self.dtype) for _ in range(_BATCH)]
            for case in sorted(batch, key=lambda case: case.flops):
                tell(f"{done} sizes")
                self.learn(case, candidates, stopwatch)
                done += 1
                if stopwatch.measured > due:
                    break

    def learn(self, case, candidates, stopwatch):
        """Measure a case, to foretell others by it."""
        able = _able(candidates, case)
        foretold = self.stratum.foretell(case, self.threads, able)
        if stopwatch.random.random() < _SURPRISE:
            foretold = {}
        times = stopwatch.times(candidates, case, self.threads, _ROUNDS, foretold=foretold)
        found = {name: min(seconds) for name, seconds in times.items()}
        if found:
            self.stratum.learn(case, self.threads, found, foretold, able)
        choices = [name for name in foretold if name in found]
        if choices:
            choice = min(choices, key=foretold.get)
            self.regrets.append(found[choice] / min(found.values()) - 1)


def _where(case, threads):
    """Kind and coordinates of a case, as a table knows them."""
    arguments = case.outline()
    kind, point = case.definition.traits(*arguments.arrays, **arguments.options)
    return kind, place(point, arguments.dtype.itemsize, threads)


def _able(candidates, case):
    """Names of the kernels that serve a case."""
    outline = case.outline()
    return [name for name, kernel in candidates.items() if kernel.why_not_bound(outline) is None]


def _hopeful(name, stratum):
    return any(row[name] < _HOPELESS * min(row.values()) for row in stratum.seconds if name in row)


def turns(operations, kinds=None):
    """All turns of some operations, those that share workers side by side.

    Of arguments of some ``kinds`` only, if any are given.
    """
    strata = [
        Stratum(name, kind)
        for name in operations
        for kind in SPACES[name][1]
        if not kinds or kind.removesuffix(PREPARED) in kinds
    ]
    counts = {1, environment.usable_cores()}
    every = [Turn(*turn) for turn in product(strata, DTYPES, counts)]
    return sorted(every, key=lambda turn: (turn.stratum.operation, -turn.threads))


def tune(own, seconds, progress, random):
    """Measure for so many seconds; what starting and compiling take comes on top.

    Half of the time goes to all turns alike, the other half to those in which the kernel that was
    foretold to be the fastest was not: more sizes help where there is a choice, and it is hard.

    Parameters
    ----------
    own : list of Turn
        As `turns` gives them.
    seconds : float
    progress : callable
        Takes a line about what goes on, and for how long it has.
    random : numpy.random.Generator

    Yields
    ------
    dict
        Content of a table, after each of the turns, which come twice.
    """
    told = facts.describe()
    about = {
        "machine": {name: told[name] for name in ("cpu", "usable_cores") if name in told},
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "libraries": facts.libraries(),
    }
    with Stopwatch(random) as stopwatch:

        def tell(what):
            spent = f"measured for {stopwatch.measured:.0f} of {seconds:.0f} s"
            progress(f"{turn.title}: {what}; {spent}, compiled for {stopwatch.waited:.0f} s")

        due = 0.0
        for again in (False, True):
            shares = [turn.share * (turn.doubt if again else 1) for turn in own]
            for turn, share in zip(own, shares):
                part = seconds / 2 * share / sum(shares)
                due += part
                if part > _SHORTEST_S or not again:
                    turn.measure(stopwatch, due, tell)
                yield about | {"timings": _timings(own)}


def _timings(own):
    """What the strata of some turns know, by operation."""
    timings = {}
    for stratum in {id(turn.stratum): turn.stratum for turn in own}.values():
        if stratum.points:
            timings.setdefault(stratum.operation, []).append(stratum.group())
    return timings


def check(own, count, progress, random):
    """Measure the regret of choosing by the tables in some turns, at sizes that they do not know.

    Returns
    -------
    list of dict
        operation, case, threads, choice, fastest, and ``regret``: by how much the choice is slower
        than the fastest, each at its best of some rounds. Which one is the fastest is said by every
        other round, and how much faster by the rest: the luckiest of equal kernels is not faster.
    """
    rows = []
    with Stopwatch(random) as stopwatch:
        for number, turn in enumerate(own):
            candidates = stopwatch.start(turn)
            share = count * (number + 1) // len(own) - count * number // len(own)
            drawn = [turn.stratum.draw(random, turn.dtype) for _ in range(share)]
            for case in sorted(drawn, key=lambda c: c.flops):
                progress(f"{turn.title}: {len(rows)} of {count} cases")
                choice = _choice(case, turn)
                found = stopwatch.times(candidates, case, turn.threads, 9, always=(choice,))
                rounds = {name: np.array(own) for name, own in found.items() if len(own) > 1}
                if choice not in rounds:
                    continue
                fastest = min(rounds, key=lambda name: rounds[name][::2].min())
                regret = float(rounds[choice][1::2].min() / rounds[fastest][1::2].min()) - 1
                rows.append(
                    {
                        "operation": case.operation,
                        "case": case.label,
                        "threads": turn.threads,
                        "choice": choice,
                        "fastest": fastest,
                        "regret": regret,
                    }
                )
    return rows


def _choice(case, turn):
    """What ``auto`` chooses for a case as it is called in a turn."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(turn.threads)
    try:
        table, outline = auto.table_of(case.operation), case.outline()
        told = auto.explained(case.operation, table, outline, prepared=turn.stratum.prepared)
        return told.choice
    finally:
        numba.set_num_threads(before)
