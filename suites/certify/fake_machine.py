"""A machine whose truth is known: a call moves its clock, by its true time and by noise."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
import pandas as pd

from convgrad.results.schema import TWIN
from convgrad.results.summary import cells
from convgrad.suites.measure.block import Contender, Contest
from convgrad.suites.measure.settings import PRESETS

PROTOCOL = PRESETS["laptop"]
BASE = "baseline"
CALL_S = 0.75e-3
"""True time of the baseline's call: a sample of 32 lasts 24 ms, long enough also if 10 % faster."""
LASTING = 0.8
"""Correlation of neighbouring samples in noise that lasts."""


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the logarithm of a sample's time, and what else befalls it.

    Attributes
    ----------
    sample, process : float
        Independent from sample to sample, and dealt once to each process.
    machine, worker : float
        Correlated from sample to sample, AR(1): of all that run, and of each process by itself.
    spikes : float
        Share of the samples that last 1.5 to 3 times as long.
    load : callable
        ``load(now, random)`` is the factor by which the machine is slower at that second.
    """

    sample: float
    process: float
    machine: float = 0.0
    worker: float = 0.0
    spikes: float = 0.0
    load: Callable | None = None

    def median(self, random, count=1_000_000):
        """Median factor, over samples of new processes, by which noise makes a call slower."""
        total = sqrt(self.sample**2 + self.process**2 + self.machine**2 + self.worker**2)
        factors = np.exp(total * random.standard_normal(count))
        spikes = np.where(random.random(count) < self.spikes, random.uniform(1.5, 3, count), 1)
        return float(np.median(factors * spikes))


class Machine:
    """A fake clock in seconds, and noise that all who move it share."""

    def __init__(self, noise, random):
        self.noise, self.random = noise, random
        self.now = 0.0
        self.weather = noise.machine * random.standard_normal()

    def contender(self, call_s, settings):
        """Make a contender in a process of its own, which calls a kernel that takes `call_s`."""
        noise, normal = self.noise, self.random.standard_normal
        luck = noise.process * normal()
        mood = noise.worker * normal()
        fresh = sqrt(1 - LASTING**2)

        def ask(method, loops, seconds):
            nonlocal mood
            self.weather = LASTING * self.weather + fresh * noise.machine * normal()
            mood = LASTING * mood + fresh * noise.worker * normal()
            wall = loops * call_s * exp(luck + mood + self.weather + noise.sample * normal())
            if noise.spikes and self.random.random() < noise.spikes:
                wall *= self.random.uniform(1.5, 3)
            if noise.load:
                wall *= noise.load(self.now, self.random)
            self.now += wall
            return wall * 1e9, wall * 1e9, False

        return Contender(ask, call_s, settings)


def contest(machine, calls, settings=PROTOCOL):
    """Sample kernels, given by their true time of a call, as the engine does."""
    teams = [
        {name: machine.contender(call_s, settings) for name, call_s in calls.items()}
        for _ in range(settings.processes)
    ]
    held = Contest(teams, BASE, settings, machine.random)
    for _ in range(settings.looks):
        if not held.wanting():
            break
        held.look()
    return held.samples


def figures(count, blocks, calls, noise, random, progress, settings=PROTOCOL):
    """Cells of figures on their own, each block on a new machine and with a null twin.

    Parameters
    ----------
    count, blocks : int
        Figures, and blocks of each.
    calls : dict of str to float
        True seconds of a call of each kernel, `BASE` among them.
    noise : callable
        ``noise(random)`` gives the `Noise` of a block.
    random : numpy.random.Generator
    progress : callable
        Called with a line of text now and then.
    settings : Settings
    """
    parts, samples, facts = [], [], []
    for number in range(count):
        for block in range(blocks):
            key = {"operation": f"figure {number}", "case": str(block), "threads": 1}
            key |= {"cache": "warm", "call": "plain", "dtype": "float64"}
            machine = Machine(noise(random), random)
            sampled = contest(machine, {**calls, TWIN: calls[BASE]}, settings)
            samples += [{**key, **sample} for sample in sampled]
            known = {**key, "status": "ok"}
            facts += [{**known, "kernel": name, "baseline": name == BASE} for name in calls]
        if len(samples) > _AT_ONCE or number == count - 1:
            progress(f"{number + 1} of {count} figures")
            parts.append(cells(pd.DataFrame(samples), facts))
            samples, facts = [], []
    return pd.concat(parts, ignore_index=True)


_AT_ONCE = 30_000
"""Samples of which one table is made: of few, pandas is slow, and many need memory."""
