"""Two runs beside each other: what became faster or slower, and whether one may ask at all."""

import numpy as np
import pandas as pd
from scipy.stats import norm, ttest_ind

from convgrad.results.schema import FAILURES, KEY
from convgrad.results.statistics import ENOUGH, holm, process_medians
from convgrad.results.summary import cells as summarise
from convgrad.results.summary import published
from convgrad.results.verdicts import ALPHA, SAME

_MACHINE = ("cpu", "code_name", "usable_cores", "python")
_BYSTANDERS = ("pandas", "matplotlib", "pytest", "pytest-benchmark")
"""Libraries that no kernel calls."""


def comparable(a, b):
    """Say what else differs between two runs, and might explain a difference in time.

    Parameters
    ----------
    a, b : store.Run

    Returns
    -------
    list of str
        A sentence for each of machine, Python, libraries, threads and dtypes that is not the
        same; empty if the runs may be compared.
    """
    before, after = _circumstances(a), _circumstances(b)
    return [
        f"{name}: got {before.get(name, 'none')} and {after.get(name, 'none')}, expected the same"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _circumstances(run):
    machine, libraries = run.info.get("machine") or {}, run.info.get("libraries") or {}
    facts = run.facts()
    told = {name: machine[name] for name in _MACHINE if name in machine}
    told |= {name: libraries[name] for name in libraries if name not in _BYSTANDERS}
    for name in ("threads", "dtype"):
        values = sorted({fact[name] for fact in facts if name in fact})
        told[name] = "/".join(map(str, values)) or "none"
    return told


def compare(a, b, threshold=SAME - 1):
    """Compare the times of ``b`` with those of ``a``, cell by cell.

    Two runs share no rounds, so nothing cancels, and each brings its own uncertainty. The interval
    of a ratio lies around the ratio of the medians, and reaches as far as the sides of both
    published intervals that point that way, added in quadrature on the logarithm (the "method of
    variance estimates recovery" of Zou and Donner, 2008).

    Parameters
    ----------
    a, b : store.Run
    threshold : float
        Relative difference that is too small to matter.

    Returns
    -------
    DataFrame
        One row a cell of either run, the largest slow-down first: `KEY`, ``status_a`` and
        ``status_b`` (empty where the run lacks the cell), ``a_s``, ``b_s``, ``ratio`` of b to a
        with ``low`` and ``high``, ``p_adjusted``, ``resolution`` (the coarser of both) and
        ``verdict``. Cells without a published time in both have no verdict. Of the others, those
        are "same" whose interval lies within the threshold, where the resolution does too, and
        those "faster" or "slower" that differ by threshold and resolution at least, with an
        interval that excludes 1 and ``p_adjusted`` (Welch's t test on the logarithms of the medians
        of processes, corrected by Holm over each figure) below `verdicts.ALPHA`. Where a run has
        but one process, p is what the interval says of a normal error.
    """
    table = _side(a).merge(_side(b), how="outer", on=list(KEY), suffixes=("_a", "_b"))
    timed = table[table.median_s_a.notna() & table.median_s_b.notna()]
    rows = pd.DataFrame(map(_difference, timed.itertuples()), timed.index, _FIGURES, dtype=float)
    figure = [timed.operation, timed.dtype_a, timed.threads, timed.cache, timed.call]
    rows["p_adjusted"] = rows.p_adjusted.groupby(figure).transform(lambda p: holm(p.to_numpy()))
    rows["resolution"] = np.fmax(timed.resolution_a, timed.resolution_b)
    rows["verdict"] = [_verdict(row, threshold) for row in rows.itertuples()]
    table = table.rename(columns={"median_s_a": "a_s", "median_s_b": "b_s"}).join(rows)
    for name in ("status_a", "status_b", "verdict"):
        table[name] = table[name].astype(object).where(table[name].notna(), "")
    table = table.sort_values(["ratio", *KEY], ascending=[False, *[True] * len(KEY)])
    return table[list(COLUMNS)].reset_index(drop=True)


COLUMNS = (
    *KEY,
    *("status_a", "status_b", "a_s", "b_s"),
    *("ratio", "low", "high", "p_adjusted", "resolution", "verdict"),
)
_FIGURES = ("ratio", "low", "high", "p_adjusted")


def broken(table):
    """Cells of a comparison that had a time in the first run, and failed in the second."""
    return table[(table.status_a == "ok") & table.status_b.isin(FAILURES)]


def left_out(table):
    """Say in a sentence which cells could not be compared; empty if all could.

    Parameters
    ----------
    table : DataFrame
        As `compare` gives it.

    Returns
    -------
    str
    """
    rest = table[table.verdict == ""]
    groups = rest.groupby([rest.status_a, rest.status_b], sort=True)
    parts = [f"{_what(*statuses)}: {_names(part)}" for statuses, part in groups]
    return f"not compared: {'; '.join(parts)}" if parts else ""


def _what(status_a, status_b):
    if not status_a or not status_b:
        return "only in " + ("A" if status_a else "B")
    return (
        f"{status_a} in A and {status_b} in B"
        if status_a != status_b
        else _BOTH.get(status_a, f"both {status_a}")
    )


_BOTH = {"ok": "both ok, but not published"}


def _names(cells, most=3):
    names = [f"{row.operation} {row.case} {row.kernel}" for row in cells.itertuples()]
    return f"{len(names)} ({', '.join(names[:most])}{', ...' if len(names) > most else ''})"


def _side(run):
    """Status of all cells of a run; of those with a published time also what describes it."""
    samples = run.samples()
    cells = summarise(samples, run.facts(), run.info)
    values = ["dtype", "median_s", "low_s", "high_s", "sample_count", "resolution"]
    table = cells[[*KEY, "status"]].join(published(cells)[values])
    seconds = np.log(samples.wall_ns / samples.loops / 1e9)
    logs = {
        key: process_medians(part.to_numpy(), samples.process[part.index].to_numpy())
        for key, part in seconds.groupby([samples[name] for name in KEY])
    }
    keys = table[list(KEY)].itertuples(index=False, name=None)
    return table.assign(processes=[logs.get(key, np.empty(0)) for key in keys])


def _difference(cell):
    """Ratio, interval and p of one cell, as `_FIGURES`."""
    a, low_a, high_a = np.log([cell.median_s_a, cell.low_s_a, cell.high_s_a])
    b, low_b, high_b = np.log([cell.median_s_b, cell.low_s_b, cell.high_s_b])
    difference = b - a
    down, up = np.hypot(b - low_b, high_a - a), np.hypot(high_b - b, a - low_a)
    if min(len(cell.processes_a), len(cell.processes_b)) >= 2:
        p = _welch(cell.processes_a, cell.processes_b)
    elif min(cell.sample_count_a, cell.sample_count_b) >= ENOUGH:
        p = _from_interval(difference, down if difference > 0 else up)
    else:
        return np.exp(difference), np.nan, np.nan, 1.0  # so few samples have no interval
    return *np.exp([difference, difference - down, difference + up]), p


def _welch(a, b):
    if not (a.std() or b.std()):
        return float(a[0] == b[0])
    return float(ttest_ind(a, b, equal_var=False).pvalue)


def _from_interval(difference, half):
    if not half:
        return float(difference == 0)
    return float(2 * norm.sf(abs(difference) / half * norm.isf(0.025)))


def _verdict(row, threshold):
    fine = not row.resolution > threshold
    if fine and row.low >= 1 / (1 + threshold) and row.high <= 1 + threshold:
        return "same"
    least = np.log1p(np.fmax(threshold, row.resolution))
    if abs(np.log(row.ratio)) < least or not row.p_adjusted < ALPHA:
        return "unresolved"
    return "slower" if row.low > 1 else "faster" if row.high < 1 else "unresolved"
