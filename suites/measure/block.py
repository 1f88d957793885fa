"""One block: kernels that compete at one case, measured together, round by round."""

import math
from dataclasses import dataclass

import numpy as np

from convgrad.kernels import Case
from convgrad.results.statistics import median_interval
from convgrad.suites.measure.process import Lost


@dataclass(frozen=True)
class Block:
    """A case, a number of threads, the kernels that compete, and which one they refer to."""

    case: Case
    threads: int
    kernels: tuple
    baseline: str

    def key(self, kernel):
        """Key of a cell, as `convgrad.results` has it."""
        return {
            "operation": self.case.operation,
            "case": self.case.label,
            "kernel": kernel,
            "threads": self.threads,
        }


def williams_orders(count, random):
    """Orders in which every competitor follows every other equally often (Williams, 1949).

    Parameters
    ----------
    count : int
    random : numpy.random.Generator
        Says which competitor is which in the design.

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
    return [[int(names[i]) for i in row] for row in rows]


def compete(contenders, settings, clock, deadline, random):
    """Sample all contenders round by round, until they are precise or time is up.

    Parameters
    ----------
    contenders : dict of str to Contender
    settings : Settings
    clock : callable
        Seconds, monotonic.
    deadline : float
        Time on ``clock`` after which no round is begun, once the fewest rounds are done.
    random : numpy.random.Generator

    Returns
    -------
    samples : list of dict
        round, position, loops, wall_ns, cpu_ns, kernel.
    lost : dict of str to Lost
        Contenders that failed on the way; they have no samples.
    """
    names = list(contenders)
    orders = williams_orders(len(names), random)
    samples, lost = [], {}
    fewest, most = settings.rounds
    for number in range(most):
        if number >= fewest and (clock() > deadline or _precise(samples, settings.precision)):
            break
        for position, index in enumerate(orders[number % len(orders)]):
            name = names[index]
            contender = contenders[name]
            if name in lost or number >= contender.rounds:
                continue
            try:
                wall, cpu = contender.sample()
            except Lost as reason:
                lost[name] = reason
                continue
            samples.append(
                {
                    "kernel": name,
                    "round": number,
                    "position": position,
                    "loops": contender.loops,
                    "wall_ns": wall,
                    "cpu_ns": cpu,
                }
            )
    return [sample for sample in samples if sample["kernel"] not in lost], lost


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

    def __init__(self, ask, call_s, settings):
        self.ask = ask
        self.call_s = call_s
        self.sample_ns = settings.sample_s * 1e9
        # Powers of two, so that kernels of like speed are looped equally often.
        self.loops = 1 << max(0, math.ceil(math.log2(settings.sample_s / max(call_s, 1e-7))))
        self.calibrated = self.loops == 1
        self.rounds = int(
            np.clip(settings.cell_s / (self.loops + 1) / call_s, 1, settings.rounds[1])
        )

    def sample(self):
        """Ask for one sample; the first time, until it is long enough.

        A single call, which the check timed, is slower than calls in a loop.
        """
        wall, cpu = self._ask()
        while not self.calibrated and wall < self.sample_ns:
            self.loops *= 2 if wall > self.sample_ns / 4 else 4
            wall, cpu = self._ask()
        self.calibrated = True
        return wall, cpu

    def _ask(self):
        patience = 20 + 10 * (self.loops + 1) * self.call_s
        reply = self.ask("sample", self.loops, seconds=patience)
        if isinstance(reply, dict):
            raise Lost(reply["status"], reply["detail"])
        return reply


def _precise(samples, precision):
    times = {}
    for sample in samples:
        times.setdefault(sample["kernel"], []).append(sample["wall_ns"] / sample["loops"])
    for values in times.values():
        interval = median_interval(values)
        if interval.high - interval.low > 2 * precision * np.median(values):
            return False
    return True
