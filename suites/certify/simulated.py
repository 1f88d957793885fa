"""Claims about sampling and statistics, measured on a machine whose truth is known.

Only clock and kernels are fake. All else is what a run uses: the contest and its stopping rule, the
protocol of a preset, the tables and verdicts.
"""

from bisect import bisect
from dataclasses import replace
from math import exp, log, pi, sin

import numpy as np

from convgrad.suites.certify.claims import Claim, Outcome
from convgrad.suites.certify.fake_machine import (
    BASE,
    CALL_S,
    PROTOCOL,
    Machine,
    Noise,
    contest,
    figures,
)
from convgrad.suites.measure.block import Contender

QUIET = Noise(sample=0.01, process=0.003)
UNLIKE = replace(QUIET, process=0.005)
KINDS = {
    "lognormal": Noise(sample=0.02, process=0.015),
    "AR(1) of the machine": Noise(sample=0.01, process=0.015, machine=0.02),
    "AR(1) of each process": Noise(sample=0.01, process=0.015, worker=0.02),
    "spikes": Noise(sample=0.02, process=0.015, spikes=0.05),
}


def coverage(budget):
    """Share of blocks whose published intervals enclose the truth, at the worst kind of noise."""
    random, rows = np.random.default_rng(1), []
    count = (1000 if budget.quick else 10_000) // len(KINDS)
    for kind, noise in KINDS.items():
        truth = CALL_S * noise.median(random)
        calls = {BASE: CALL_S, "other": CALL_S / 1.1}
        table = figures(count, 1, calls, lambda _, n=noise: n, random, budget.progress)
        base, other = table[table.baseline], table[~table.baseline]
        rows.append((_enclosed(base.low_s, truth, base.high_s), "median", kind))
        rows.append((_enclosed(other.speedup_low, 1.1, other.speedup_high), "ratio", kind))
    worst = [min(row for row in rows if row[1] == which) for which in ("median", "ratio")]
    told = ", ".join(f"{which} {share:.1%} ({kind})" for share, which, kind in worst)
    return Outcome(f"{told}, of {count} blocks each", min(worst)[0] >= 0.94)


def equal_kernels(budget):
    """How often kernels that are the baseline itself are called faster or slower."""
    random, count = np.random.default_rng(2), 40 if budget.quick else 400
    calls = {BASE: CALL_S} | {f"equal {number}": CALL_S for number in range(10)}
    table = figures(count, 8, calls, hogged, random, budget.progress)
    table = table[~table.baseline]
    wrong = table.verdict.isin(("faster", "slower"))
    figure = wrong.groupby(table.operation).any()
    found = f"{wrong.mean():.2%} of {len(wrong)} comparisons, {figure.sum()} of {count} figures"
    return Outcome(found, bool(max(wrong.mean(), figure.mean()) <= 0.05))


def power_when_quiet(budget):
    """How often planted differences are seen on a quiet machine, in a figure of usual size."""
    small, large = _seen(budget, QUIET)
    told = [f"{small:.1%} of 5 %, {large:.1%} of 10 %"]
    if not budget.quick:
        told.append("{:.1%} and {:.1%} if processes are 0.5 % apart".format(*_seen(budget, UNLIKE)))
    return Outcome("; ".join(told), bool(small >= 0.95 and large >= 0.99))


def _seen(budget, noise):
    random, count = np.random.default_rng(3), 20 if budget.quick else 100
    calls = {BASE: CALL_S} | {
        f"{percent} % {number}": CALL_S / (1 + percent / 100)
        for percent in (5, 10)
        for number in range(5)
    }
    table = figures(count, 8, calls, lambda _: noise, random, budget.progress)
    seen = table.verdict == "faster"
    return [seen[table.kernel.str.startswith(f"{percent} %")].mean() for percent in (5, 10)]


def power_beside_a_neighbour(budget):
    """What is said of planted differences while a neighbour works every other second."""
    random, count = np.random.default_rng(4), 15 if budget.quick else 100
    factors = {f"{factor:.2f} {n}": factor for factor in (1.1, 1 / 1.1) for n in range(2)}
    calls = {BASE: CALL_S} | {name: CALL_S / factor for name, factor in factors.items()}
    table = figures(count, 8, calls, toggled, random, budget.progress)
    table = table[~table.baseline]
    right = np.where(table.kernel.map(factors) > 1, "faster", "slower")
    seen, unresolved = table.verdict == right, table.verdict == "unresolved"
    wrong = (~seen & ~unresolved & (table.verdict != "same")).sum()
    found = f"seen {seen.mean():.1%}, unresolved {unresolved.mean():.1%}, wrong sign {wrong}"
    holds = (seen | unresolved).mean() >= 0.9 and not wrong
    return Outcome(f"{found} of {len(table)}", bool(holds))


def bias_under_drift(budget):
    """Mean error of a ratio while the machine becomes slower, and what it were without rounds."""
    random, count = np.random.default_rng(5), 60 if budget.quick else 400
    settings = replace(PROTOCOL, median_precision=0.0)  # all blocks last equally long
    biases, controls = {}, {}
    for name, shape in DRIFTS.items():
        calls = {BASE: CALL_S, "other": CALL_S / 1.1}
        noise = _drifting(shape, 3)
        table = figures(count, 1, calls, lambda _, n=noise: n, random, budget.progress, settings)
        biases[name] = np.log(table.speedup / 1.1).mean()
        noise = _drifting(shape, 2)
        errors = [_one_after_the_other(Machine(noise, random), calls, settings) for _ in range(50)]
        controls[name] = abs(np.mean(errors))
    told = ", ".join(f"{name} {bias:+.2%}" for name, bias in biases.items())
    control = ", ".join(f"{name} {controls[name]:.0%}" for name in ("ramp", "step"))
    holds = max(map(abs, biases.values())) <= 0.005
    holds = holds and min(controls["ramp"], controls["step"]) >= 0.1
    return Outcome(f"{told}; one after the other: {control}", bool(holds))


def _one_after_the_other(machine, calls, settings):
    """Error of the ratio, as a logarithm, if each kernel has a stretch of time to itself."""
    medians = {
        name: np.median(
            [s["wall_ns"] / s["loops"] for s in contest(machine, {name: call}, settings)]
        )
        for name, call in calls.items()
    }
    truth = log(calls[BASE] / calls["other"])
    return log(medians[BASE] / medians["other"]) - truth


def _enclosed(low, truth, high):
    return float(((low <= truth) & (truth <= high)).mean())


def _drifting(shape, kernels):
    """Quiet noise, and a drift that lasts as long as a block of so many kernels."""
    one = Contender(None, CALL_S, PROTOCOL)
    lasts = 1.15 * kernels * PROTOCOL.processes * one.rounds * one.loops * CALL_S
    return replace(QUIET, load=lambda now, random: shape(now / lasts))


def hogged(random):
    """Noise of a machine that drifts, and of which a neighbour takes 30 % during some stretches."""
    edges = np.cumsum(random.exponential(1.0, 100)).tolist()
    drift = random.uniform(-0.015, 0.015)
    process = 0.015 * exp(0.7 * random.standard_normal())

    def load(now, random):
        return (1 + drift * now) * (1 / 0.7 if bisect(edges, now) % 2 else 1)

    return Noise(sample=0.02, process=process, load=load)


def toggled(random):
    """Quiet noise, and a neighbour on one of two cores, for every other second."""
    start = random.uniform(0, 2)

    def load(now, random):
        met = int(now + start) % 2 and random.random() < 0.5
        return random.uniform(1.3, 2) if met else 1

    return replace(QUIET, load=load)


DRIFTS = {
    "ramp": lambda x: 1 + 0.5 * x,
    "step": lambda x: 1 if x < 0.5 else 1.3,
    "sine": lambda x: 1 + 0.2 * sin(2 * pi * x),
}

_HOW = (
    f"fake clock, {PROTOCOL.processes} processes, {PROTOCOL.rounds} rounds a look, "
    f"up to {PROTOCOL.looks} looks"
)

CLAIMS = [
    Claim(
        name="interval coverage",
        how=f"10,000 blocks, {_HOW}: lognormal, AR(1) of machine or process, 5 % spikes of x1.5 to "
        "x3, processes 1.5 % apart; the worst of these",
        must_be=">= 94 % at nominal 95 %, median and ratio",
        measure=coverage,
        quick=True,
        seconds=60,
        simulated=True,
    ),
    Claim(
        name="equal kernels",
        how=f"figures of 8 blocks of 10 kernels that are the baseline, {_HOW}: drift, and a "
        "neighbour that takes 30 % during some stretches",
        must_be="called faster or slower in <= 5 % of comparisons and <= 5 % of figures",
        measure=equal_kernels,
        quick=True,
        seconds=120,
        simulated=True,
    ),
    Claim(
        name="power, quiet machine",
        how=f"figures of 8 blocks of 10 kernels that are 5 or 10 % faster, {_HOW}: samples 1 %, "
        "processes 0.3 % apart",
        must_be="+5 % seen in >= 95 %, +10 % in >= 99 %",
        measure=power_when_quiet,
        quick=True,
        seconds=60,
        simulated=True,
    ),
    Claim(
        name="power, busy neighbour",
        how=f"figures of 8 blocks of 4 kernels that are 10 % faster or slower, {_HOW}: half of the "
        "samples of every other second last 1.3 to 2 times as long",
        must_be=">= 90 % seen or unresolved, wrong sign never",
        measure=power_beside_a_neighbour,
        quick=True,
        seconds=30,
        simulated=True,
    ),
    Claim(
        name="drift",
        how=f"{_HOW}; within a block, the machine becomes x1.5 slower steadily (ramp), x1.3 at "
        "once (step), or up to 20 % slower and faster (sine)",
        must_be="mean error of the ratio <= 0.5 %; >= 10 % for one kernel after the other",
        measure=bias_under_drift,
        quick=True,
        seconds=30,
        simulated=True,
    ),
]
