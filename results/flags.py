"""What is wrong with a cell, or explains it: one small rule a flag, each with its reason."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, kruskal, theilslopes

from convgrad.results.schema import CONTEST, FLAGS, KEY, SPIN
from convgrad.results.statistics import ENOUGH, process_medians

NOISY = 0.05
"""Half-width of the published interval over the median."""

DRIFT = 0.05
"""Change from the first to the last sample over the median."""

DISAGREEMENT = 1.05
"""Largest over smallest median of a process."""

STOLEN = 0.02
"""Share of the time in which the machine did something else."""

SLOWED = 1.05
"""Time of the spin probe over that in the run's calm blocks."""

CALM = 0.1
"""Quantile of the blocks' spin probes that counts as calm: a minimum could be a clock's error."""

OVERSUBSCRIBED = 1.1
"""Cores used over threads asked for."""

CALLS = 20
"""Empty calls that have to fit in a time before it says something of the kernel."""

ABOVE_ROOF = 1.05
"""Fraction of the roof; what exceeds 1 by less is the roof's own error of measurement."""

CHANCE = 0.01
"""p value below which a trend or a disagreement counts as one."""


class Context(NamedTuple):
    """All that a rule may look at."""

    cell: object
    """Row of the table of cells, as a named tuple."""
    seconds: np.ndarray
    """Samples in the order in which they were taken; none where the cell has no time."""
    processes: np.ndarray
    """Process of each sample."""
    stolen: float
    """Share of the time that the cell's block did not get from the machine."""
    slowed: float
    """CPU time of the block's spin probe over that of the run's calm blocks."""
    call_overhead_s: float
    """Time of an empty call."""


def single_shot(context):
    """Too slow for the rounds that an interval needs."""
    return 0 < len(context.seconds) < ENOUGH


def noisy(context):
    """The median is not known well enough to be quoted with two digits."""
    cell = context.cell
    return cell.high_s - cell.low_s > 2 * NOISY * cell.median_s


def drift(context):
    """The machine, or the kernel, was another at the end: of a trend the median says nothing.

    The slope is that of Theil (1950) and Sen (1968), which no outlier can tilt.
    """
    seconds = context.seconds
    if len(seconds) < ENOUGH:
        return False
    change = theilslopes(seconds).slope * (len(seconds) - 1)
    if abs(change) <= DRIFT * context.cell.median_s:
        return False
    return kendalltau(np.arange(len(seconds)), seconds).pvalue < CHANCE


def non_stationary(context):
    """Processes disagree by more than their own noise: each measured its own layout or minute.

    The test is that of Kruskal and Wallis (1952).
    """
    seconds, processes = context.seconds, context.processes
    numbers = np.unique(processes)
    if len(numbers) < 2:
        return False
    medians = process_medians(seconds, processes)
    if medians.max() <= DISAGREEMENT * medians.min():
        return False
    return kruskal(*(seconds[processes == number] for number in numbers)).pvalue < CHANCE


def steal(context):
    """The hypervisor, or another program, ran instead."""
    return context.stolen > STOLEN


def throttled(context):
    """A fixed chain of dependent steps took more cycles' worth of time: the clock was lower."""
    return context.slowed > SLOWED


def oversubscribed(context):
    """The kernel used more cores than it was given, and is compared with kernels that did not."""
    return context.cell.cores_used > OVERSUBSCRIBED * context.cell.threads


def overhead_bound(context):
    """Mostly the price of calling from Python, which no kernel can help."""
    return context.cell.median_s < CALLS * context.call_overhead_s


def memory_bound(context):
    """Arithmetic is not what its roof consists of: more of it would cost nothing."""
    return np.isfinite(context.cell.median_s) and context.cell.bound_by == "memory"


def above_roof(context):
    """Faster than the machine can be: it did less than it says, or the roof is wrong."""
    return context.cell.roof_fraction > ABOVE_ROOF


def extrapolated(context):
    """Predicted from smaller cases, because measuring would have taken too long."""
    return np.isfinite(context.cell.predicted_s) and not np.isfinite(context.cell.median_s)


def failed_check(context):
    """The result was not right, so that its time is of no interest."""
    return context.cell.status == "wrong"


RULES = {
    "single-shot": single_shot,
    "noisy": noisy,
    "drift": drift,
    "non-stationary": non_stationary,
    "steal": steal,
    "throttled": throttled,
    "oversubscribed": oversubscribed,
    "overhead-bound": overhead_bound,
    "memory-bound": memory_bound,
    "above-roof": above_roof,
    "extrapolated": extrapolated,
    "failed-check": failed_check,
}


def flags(table, timings, stolen, call_overhead_s=np.nan):
    """Apply every rule to every cell.

    Parameters
    ----------
    table : DataFrame
        Cells with all that `Context` says of them.
    timings : dict
        `timings.Timings` by key, of the spin probes too.
    stolen : sequence of float
        Share of the CPU that the hypervisor took while each cell's block was measured, or nan.
    call_overhead_s : float

    Returns
    -------
    Series of str
        Names of the flags of each cell, in the order of `schema.FLAGS`, with blanks between.
    """
    unrest = {
        contest: _unrest(timings.get(_spin_key(contest)))
        for contest in dict.fromkeys(table[list(CONTEST)].itertuples(index=False, name=None))
    }
    known = [cpu for _, cpu in unrest.values() if np.isfinite(cpu)]
    calm = np.quantile(known, CALM) if known else np.nan
    texts = []
    for cell, share in zip(table.itertuples(), stolen):
        timing = timings[_values(cell, KEY)] if np.isfinite(cell.median_s) else None
        waited, cpu = unrest[_values(cell, CONTEST)] if timing else (np.nan, np.nan)
        context = Context(
            cell,
            seconds=timing.seconds if timing else np.empty(0),
            processes=timing.process if timing else np.empty(0),
            stolen=np.fmax(share, waited) if timing else np.nan,
            slowed=cpu / calm,
            call_overhead_s=call_overhead_s,
        )
        texts.append(" ".join(name for name in FLAGS if RULES[name](context)))
    return pd.Series(texts, index=table.index, dtype=str)


def _unrest(spin):
    """Share of its time that a block's spin probe waited, and its CPU seconds a loop."""
    if spin is None or not np.isfinite(spin.cpu_ns).any():
        return np.nan, np.nan
    waited = (spin.wall_ns - spin.cpu_ns) / spin.wall_ns
    return np.nanmedian(waited), np.nanmedian(spin.cpu_ns / spin.loops) / 1e9


def _spin_key(contest):
    named = dict(zip(CONTEST, contest), kernel=SPIN)
    return tuple(named[name] for name in KEY)


def _values(cell, names):
    return tuple(getattr(cell, name) for name in names)
