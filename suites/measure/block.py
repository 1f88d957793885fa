"""One block: kernels that compete at one case, measured together, round by round."""

import math
from dataclasses import dataclass

import numpy as np

from convgrad.kernels import Case
from convgrad.results.schema import CALLS, EVIDENCE
from convgrad.results.statistics import compare, published
from convgrad.suites.workers.process import Lost


@dataclass(frozen=True)
class Block:
    """A case and how it is run, the kernels that compete, and which one they refer to.

    Attributes
    ----------
    case : Case
    threads : int
    kernels : tuple of str
    baseline : str
    cache, call : str
        As `convgrad.results.schema` has them.
    turn : tuple
        Blocks of a smaller one come first, whatever their sizes.
    slowest_call_s : float, optional
        A kernel whose call is predicted to take longer is left out; the preset's limit unless
        given.
    roofs : bool
        Whether each round also samples what the machine can do: kernels are held to a share of it.
    """

    case: Case
    threads: int
    kernels: tuple
    baseline: str
    cache: str = "warm"
    call: str = "plain"
    turn: tuple = ()
    slowest_call_s: float | None = None
    roofs: bool = False

    @property
    def order(self):
        """Key by which the blocks of a suite are sorted: small cases foretell the large ones."""
        return (
            self.turn,
            self.threads,
            self.cache != "warm",
            CALLS.index(self.call),
            self.case.flops,
            self.case.label,
        )

    def key(self, kernel):
        """Key of a cell, as `convgrad.results` has it."""
        return {
            "operation": self.case.operation,
            "case": self.case.label,
            "kernel": kernel,
            "threads": self.threads,
            "cache": self.cache,
            "call": self.call,
        }


def williams_orders(count, random):
    """Orders in which every competitor follows every other equally often (Williams, 1949).

    Parameters
    ----------
    count : int
    random : numpy.random.Generator
        Says which competitor is which in the design, and which order comes first.

    Returns
    -------
    list of list of int
        ``count`` orders, twice as many where ``count`` is odd.
    """
    zigzag = [0]
    for step in range(1, count):
        zigzag.append((zigzag[-1] + (step if step % 2 else -step)) % count)
    rows = [[(first + start) % count for first in zigzag] for start in range(count)]
    if count % 2:
        rows += [row[::-1] for row in rows]
    names = random.permutation(count)
    return [[int(names[i]) for i in rows[row]] for row in random.permutation(len(rows))]


class Contest:
    """Contenders of one block, some processes each, and what was sampled so far.

    Parameters
    ----------
    teams : list of dict of str to Contender
        One for each process; a contender has the same name in each.
    baseline : str
    settings : Settings
    random : numpy.random.Generator

    Attributes
    ----------
    samples : list of dict
        kernel, process, round, position, loops, wall_ns, cpu_ns; of `lost` contenders as well.
    lost : dict of str to Lost
        Contenders that failed on the way.
    """

    def __init__(self, teams, baseline, settings, random):
        self.teams, self.baseline = teams, baseline
        self.settings, self.random = settings, random
        self.samples, self.lost = [], {}
        self.done = [0] * len(teams)  # rounds of each process

    def look(self):
        """Sample some rounds in every process, of all that still need them.

        Returns
        -------
        list of dict
            The new samples.
        """
        before = len(self.samples)
        names = self.wanting()
        orders = [williams_orders(len(names), self.random) for _ in self.teams]
        # Processes take turns: what lasts for seconds is to hit all of them alike.
        for number in range(self.settings.rounds):
            for process, own in enumerate(orders):
                self._round(process, [names[index] for index in own[number % len(own)]])
        return self.samples[before:]

    def wanting(self):
        """Names that need more rounds, with the baseline and the evidence; empty if none do."""
        names = list(dict.fromkeys(name for team in self.teams for name in team))
        left = [name for name in names if name not in self.lost]
        rivals = [name for name in left if name not in EVIDENCE]
        open_ = [name for name in rivals if self._open(name)]
        return [n for n in left if n in open_ or n not in rivals or n == self.baseline] * bool(
            open_
        )

    def _open(self, name):
        """Whether a kernel has rounds left that it may use, and is not precise yet."""
        if not any(
            name in team and done < team[name].rounds for team, done in zip(self.teams, self.done)
        ):
            return False
        if not self.samples:
            return True
        own = self._seconds(name)
        if not own:
            return True
        settings = self.settings
        processes = [process for process, _ in own]
        interval = published(np.array(list(own.values())), np.array(processes))
        if interval.high > interval.low * (1 + 2 * settings.median_precision):
            return True
        base = self._seconds(self.baseline)
        pairs = [key for key in own if key in base]
        if name == self.baseline or not pairs:
            return False
        ratio = compare(
            np.log([base[key] / own[key] for key in pairs]),
            np.array([process for process, _ in pairs]),
        )
        return ratio.high > ratio.low * (1 + 2 * settings.ratio_precision)

    def _seconds(self, name):
        return {
            (s["process"], s["round"]): s["wall_ns"] / s["loops"]
            for s in self.samples
            if s["kernel"] == name
        }

    def _round(self, process, order):
        team, number = self.teams[process], self.done[process]
        for position, name in enumerate(order):
            if name in self.lost or name not in team or number >= team[name].rounds:
                continue
            try:
                wall, cpu = team[name].sample()
            except Lost as reason:
                self.lost[name] = reason
                continue
            self.samples.append(
                {
                    "kernel": name,
                    "process": process,
                    "round": number,
                    "position": position,
                    "loops": team[name].loops,
                    "wall_ns": wall,
                    "cpu_ns": cpu,
                }
            )
        self.done[process] += 1


class Contender:
    """A worker with its loaded case, and how often it is called in one sample.

    Parameters
    ----------
    ask : callable
        ``ask(method, *arguments, seconds)`` of the worker.
    call_s : float
        Seconds of one call, as the check saw it.
    settings : Settings
    """

    retries = 3
    """So often a sample in which something was compiled is taken again."""

    def __init__(self, ask, call_s, settings):
        self.ask = ask
        self.call_s = call_s = max(call_s, 1e-7)  # a clock may stand still, or step back
        self.patience_s = settings.hang_s / 3  # how long a call takes is known by now
        self.sample_ns = settings.sample_s * 1e9
        # Powers of two, so that kernels of like speed are looped equally often.
        self.loops = 1 << max(0, math.ceil(math.log2(settings.sample_s / call_s)))
        self.calibrated = False  # one call too: the check may have timed it among others
        self.share_s = settings.cell_s / settings.processes
        self.most_rounds = settings.rounds * settings.looks

    @property
    def rounds(self):
        """How many rounds its share of the time allows."""
        return int(np.clip(self.share_s / (self.loops + 1) / self.call_s, 1, self.most_rounds))

    def sample(self):
        """Ask for one sample; the first time, until it is long enough.

        A single call, which the check timed, is slower than calls in a loop.
        """
        wall, cpu = self._ask()
        while not self.calibrated and wall < self.sample_ns:
            self.loops *= 2 if wall > self.sample_ns / 4 else 4
            wall, cpu = self._ask()
        if not self.calibrated:
            self.call_s = wall / self.loops / 1e9
        self.calibrated = True
        return wall, cpu

    def _ask(self):
        patience = self.patience_s + 10 * (self.loops + 1) * self.call_s
        for _ in range(1 + self.retries):
            reply = self.ask("sample", self.loops, seconds=patience)
            if isinstance(reply, dict):
                raise Lost(reply["status"], reply["detail"])
            wall, cpu, compiled = reply
            if wall > 0 and not compiled:
                return wall, cpu
        if compiled:
            raise Lost("wrong", "compiles anew in every call: a time of it is the compiler's")
        raise Lost("timed out", f"cannot be timed: {self.loops} calls took {wall} ns on this clock")


class Probe:
    """A fixed piece of work as a contender, sampled as it is.

    Parameters
    ----------
    ask : callable
        Returns loops, wall and CPU time in ns.
    settings : Settings
    """

    def __init__(self, ask, settings):
        self.ask, self.compiled = ask, False
        self.rounds = settings.rounds * settings.looks

    def sample(self):
        """Sample it; its first time would be Numba's, not the machine's."""
        if not self.compiled:
            self.ask()
            self.compiled = True
        self.loops, wall, cpu = self.ask()
        return wall, cpu
