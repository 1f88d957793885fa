"""Faster, slower, the same, or not to be told: comparisons within rounds, judged figure by figure.

A figure shows one operation at one dtype, thread count, cache and way of calling. Who reads it
looks at all of its comparisons and remembers the most striking, so that p values are adjusted among
them all (Holm, 1979); in return, they share what they know of how processes differ (`together`).
And a difference has to be larger than those that the figure's null twins, which are the baseline
against itself, were measured to have: what the machine does to equal kernels is no merit.
"""

import numpy as np
import pandas as pd

from convgrad.results.schema import CONTEST, KEY, TWIN
from convgrad.results.statistics import ENOUGH, Comparison, compare, holm
from convgrad.results.timings import log_ratios
from convgrad.results.together import compare_together

FIGURE = ("operation", "dtype", "threads", "cache", "call")
"""What the comparisons that are adjusted together have in common."""

SAME = 1.02
"""Times whose ratio lies within this factor both ways count as the same."""

ALPHA = 0.05
"""Admitted probability of a wrong "faster" or "slower" anywhere in a figure."""

MANY = 20
"""Twins from which a 95th percentile means something; of fewer, the largest difference counts."""


def twins(table, timings):
    """Say how far equal kernels were measured to differ.

    Parameters
    ----------
    table : DataFrame
        Cells; those with a ``median_s`` have timings.
    timings : dict
        `timings.Timings` by key, of the null twins too.

    Returns
    -------
    DataFrame
        For each cell the ``twin_deviation`` of its contest, which is the median log ratio of null
        twin and baseline; and the ``resolution`` of its figure, the 95th percentile of the
        magnitudes of these as a relative difference, of twins with rounds enough for a verdict.
        Nan where there is no twin.
    """
    deviations, figures = {}, {}
    for cell in _timed(table):
        twin = timings.get(_key(cell._replace(kernel=TWIN)))
        ratios = log_ratios(twin, timings[_key(cell)])[0] if cell.baseline and twin else ()
        if len(ratios):
            deviations[_contest(cell)] = off = np.median(ratios)
            if len(ratios) >= ENOUGH:
                figures.setdefault(_values(cell, FIGURE), []).append(abs(off))
    resolutions = {figure: _resolution(known) for figure, known in figures.items()}
    rows = [
        (
            deviations.get(_contest(cell), np.nan),
            resolutions.get(_values(cell, FIGURE), np.nan),
        )
        for cell in table.itertuples()
    ]
    return pd.DataFrame(
        rows, index=table.index, columns=["twin_deviation", "resolution"], dtype=float
    )


def against_baseline(table, timings):
    """Compare each kernel with the baseline of its contest.

    Parameters
    ----------
    table : DataFrame
        Cells with what `twins` says; those with a ``median_s`` have timings.
    timings : dict
        `timings.Timings` by key.

    Returns
    -------
    DataFrame
        speedup, speedup_low, speedup_high, p_adjusted and verdict of each kernel that has a
        baseline. A speed-up is the median over rounds of the baseline's time over the kernel's.
    """
    bases = {_contest(cell): cell for cell in _timed(table) if cell.baseline}
    pairs = {
        cell.Index: (bases[_contest(cell)], cell)
        for cell in _timed(table)
        if _contest(cell) in bases and not cell.baseline
    }
    names = {"ratio": "speedup", "low": "speedup_low", "high": "speedup_high"}
    return judge(pairs, timings).rename(columns=names)


def against_runner_up(table, ranked, timings):
    """Compare the fastest kernel of each contest with the second.

    Parameters
    ----------
    table : DataFrame
        Cells with what `twins` says.
    ranked : DataFrame
        Those of them that may win, the fastest first.
    timings : dict
        `timings.Timings` by key.

    Returns
    -------
    DataFrame
        lead, lead_low, lead_high and lead_verdict of each winner that has a runner-up. A lead is
        the median over rounds of the runner-up's time over the winner's.
    """
    contests = {}
    for cell in ranked.itertuples():
        contests.setdefault(_contest(cell), []).append(cell)
    pairs = {rivals[0].Index: rivals[1::-1] for rivals in contests.values() if len(rivals) > 1}
    names = {"ratio": "lead", "low": "lead_low", "high": "lead_high", "verdict": "lead_verdict"}
    return judge(pairs, timings).drop(columns="p_adjusted").rename(columns=names)


def verdict(comparison, rounds, p_adjusted, resolution=np.nan, twin_deviation=np.nan):
    """Put a comparison in a word.

    Parameters
    ----------
    comparison : statistics.Comparison
        Of the other's time over that of the kernel that is judged.
    rounds : int
    p_adjusted : float
        After Holm over the figure.
    resolution, twin_deviation : float
        As `twins` gives them, nan where not known.

    Returns
    -------
    str
        One of `schema.VERDICTS`. "same" says that the interval lies within `SAME` both ways, where
        twins do too; "faster" and "slower" that the ratio is not 1, by p value and interval, and
        further from 1 than the twins of the figure. The baseline was measured twice, as itself and
        as its twin: from both, the kernel is further than they are from each other.
    """
    ratio, low, high, _ = comparison
    if rounds < ENOUGH:
        return "unresolved"  # no interval of so few rounds reaches 95 %
    if low >= 1 / SAME and high <= SAME and not resolution > SAME - 1:
        return "same"
    off, apart = np.log(ratio), np.nan_to_num(twin_deviation)
    nearer = min(abs(off), np.sign(off) * (off + apart))
    unrest = np.nanmax((np.log1p(resolution), abs(apart)))
    if p_adjusted <= ALPHA and not low <= 1 <= high and nearer > unrest:
        return "faster" if ratio > 1 else "slower"
    return "unresolved"


def judge(pairs, timings):
    """Compare pairs of cells.

    Parameters
    ----------
    pairs : dict
        (other, judged), two rows as named tuples with what `twins` says, by the index of the
        judged one.
    timings : dict
        `timings.Timings` by key.

    Returns
    -------
    DataFrame
        By the same index: ratio, low, high of the other's time over that of the judged one,
        p_adjusted, verdict.
    """
    comparisons, paired, figures = {}, {}, {}
    for index, (other, judged) in pairs.items():
        paired[index] = log_ratios(timings[_key(other)], timings[_key(judged)])
        comparisons[index] = compare(*paired[index])
        if len(paired[index][0]) >= ENOUGH:
            figures.setdefault(_values(judged, FIGURE), []).append(index)
    adjusted = {}
    for indices in figures.values():
        blocks = [_contest(pairs[index][1]) for index in indices]
        together = compare_together([paired[index] for index in indices], blocks)
        comparisons |= zip(indices, together)
        adjusted |= zip(indices, holm([comparisons[index].p for index in indices]))
    rows = pd.DataFrame.from_dict(
        comparisons, orient="index", columns=Comparison._fields, dtype=float
    )
    rows["p_adjusted"] = pd.Series(adjusted, dtype=float)
    said = {}
    for index, comparison in comparisons.items():
        other, judged = pairs[index]
        # on which side of the baseline its twin lies matters to who is compared with the baseline
        twin = judged.twin_deviation if other.baseline else abs(judged.twin_deviation)
        evidence = len(paired[index][0]), adjusted.get(index, np.nan), judged.resolution, twin
        said[index] = verdict(comparison, *evidence)
    rows["verdict"] = pd.Series(said, dtype=str)
    return rows.drop(columns="p")


def _resolution(deviations):
    """Relative difference from the deviations of the contests of one figure."""
    return np.expm1(np.quantile(deviations, 0.95) if len(deviations) >= MANY else max(deviations))


def _timed(table):
    return table[table.median_s.notna()].itertuples()


def _values(cell, names):
    return tuple(getattr(cell, name) for name in names)


def _key(cell):
    return _values(cell, KEY)


def _contest(cell):
    return _values(cell, CONTEST)
