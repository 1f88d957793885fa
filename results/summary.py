"""From samples to one row a cell, and from cells to winners."""

import numpy as np
import pandas as pd

from convgrad.results import flags, verdicts
from convgrad.results.limits import limits
from convgrad.results.schema import (
    BEFORE,
    CELL_COLUMNS,
    CHOOSER,
    CONTEST,
    EVIDENCE,
    KEY,
    MODELS,
    TEXT_COLUMNS,
)
from convgrad.results.statistics import published as interval_of
from convgrad.results.statistics import quartiles
from convgrad.results.timings import timings


def cells(samples, facts, info=None):
    """Summarise a run: one row a case, kernel, thread count, cache and way of calling.

    Parameters
    ----------
    samples : DataFrame
        Columns as `schema.SAMPLE_COLUMNS`, in order of time. Those of `schema.EVIDENCE` are used,
        and have no row in what is returned.
    facts : list of dict
        One dict a cell, merged, as `Run.facts` gives them; ``steal`` is the share of the CPU that
        the hypervisor took while the cell's block was measured.
    info : dict, optional
        What ``run.json`` says. Of it are used, where they are there: ``roofs``, dicts with
        ``dtype``, ``threads``, ``flops_per_s`` and ``bandwidth``, a list of (working set in bytes,
        bytes/s) with ascending working sets, and ``device`` where it is not "cpu"; the cache sizes
        of ``machine``; and ``call_overhead_s``.

    Returns
    -------
    DataFrame
        `schema.CELL_COLUMNS`, with a column for each size after the key. Times are in seconds a
        call; they are missing unless the status is "ok". Samples and facts of runs that knew no
        ``cache`` or ``call`` are "warm" and "plain".
    """
    info = info or {}
    facts = [
        {**fact, **{name: fact.get(name) or value for name, value in BEFORE.items()}}
        for fact in facts
        if fact["kernel"] not in EVIDENCE
    ]
    samples = samples.assign(**{n: v for n, v in BEFORE.items() if n not in samples})
    timed = timings(samples)
    table = _facts_table(facts)
    table = _filled(table, _times(table, timed))
    table["gflops"] = table.flops / table.median_s / 1e9
    table["gbytes_s"] = table.bytes / table.median_s / 1e9
    table = _filled(table, limits(table, info))
    table = _filled(table, verdicts.twins(table, timed))
    table = _filled(table, verdicts.against_baseline(table, timed))
    stolen = np.array([fact.get("steal") for fact in facts], dtype=float)
    table["flags"] = flags.flags(table, timed, stolen, info.get("call_overhead_s", np.nan))
    table = _filled(table, verdicts.against_runner_up(table, _ranked(table), timed))
    table["break_even_calls"] = _break_even(table)
    sizes = list(_size_names(facts).values())
    rest = [name for name in CELL_COLUMNS if name not in KEY]
    return table[[*KEY, *sizes, *rest]]


def published(cells):
    """Cells with a time that may be believed: measured, and not faster than the machine can be."""
    return cells[cells.median_s.notna() & ~cells["flags"].str.contains("above-roof", regex=False)]


WINNER_COLUMNS = [
    *CONTEST,
    "dtype",
    "parameters",
    "flops",
    "winner",
    "family",
    "median_s",
    "runner_up",
    "runner_up_family",
    "runner_up_s",
    "factor_over_runner_up",
    "verdict",
    "clear",
    "baseline",
    "baseline_s",
    "factor_over_baseline",
]


def winners(cells):
    """Name the fastest kernel of each contest.

    Parameters
    ----------
    cells : DataFrame
        As `cells` gives them; only those that are `published` take part.

    Returns
    -------
    DataFrame
        `WINNER_COLUMNS`. Factors are those of paired rounds, or of the medians where no rounds
        could be paired. ``verdict`` is the winner's against the runner-up, "" without one, and
        ``clear`` says that it is "faster". Models win nothing by their time: they differ in what
        they compute.
    """
    cells = cells[cells.operation != MODELS]
    contests = {}
    for cell in _ranked(cells).to_dict("records"):
        contests.setdefault(tuple(cell[name] for name in CONTEST), []).append(cell)
    rows = []
    for contest in dict.fromkeys(cells[list(CONTEST)].itertuples(index=False, name=None)):
        if contest not in contests:
            continue
        first, *others = contests[contest]
        second = others[0] if others else _NOBODY
        base = next((rival for rival in contests[contest] if rival["baseline"]), _NOBODY)
        rows.append(
            {
                **{name: first[name] for name in (*CONTEST, "dtype", "parameters", "flops")},
                "winner": first["kernel"],
                "family": first["family"],
                "median_s": first["median_s"],
                "runner_up": second["kernel"],
                "runner_up_family": second["family"],
                "runner_up_s": second["median_s"],
                "factor_over_runner_up": _factor(first["lead"], first, second),
                "verdict": first["lead_verdict"],
                "clear": first["lead_verdict"] == "faster",
                "baseline": base["kernel"],
                "baseline_s": base["median_s"],
                "factor_over_baseline": _factor(first["speedup"], first, base),
            }
        )
    return pd.DataFrame(rows, columns=WINNER_COLUMNS)


def resolution(cells):
    """Smallest relative difference that can be told in all figures of the cells; nan if unknown."""
    return float(cells.resolution.max())


_NOBODY = {"kernel": "", "family": "", "median_s": np.nan}


def _factor(paired, first, other):
    return paired if np.isfinite(paired) else other["median_s"] / first["median_s"]


def _ranked(table):
    """Cells that may win, the fastest first; a chooser is no rival of what it chooses."""
    rivals = published(table)
    return rivals[rivals.family != CHOOSER].sort_values(["median_s", "kernel"])


def _facts_table(facts):
    names = _size_names(facts)
    rows = [
        {
            **fact,
            **{names[name]: _size_value(value) for name, value in fact.get("sizes", {}).items()},
        }
        for fact in facts
    ]
    columns = dict.fromkeys([*CELL_COLUMNS, *names.values()])
    table = pd.DataFrame(rows, columns=list(columns), dtype=object)
    for name in CELL_COLUMNS:
        if name in TEXT_COLUMNS:
            table[name] = table[name].where(table[name].notna(), "").astype(str)
        elif name not in ("threads", "baseline"):
            table[name] = table[name].astype(float)
    table["threads"] = table.threads.astype("int64")
    table["baseline"] = [value is True for value in table.baseline]
    table["algorithm"] = table.algorithm.replace("", "direct")
    table["device"] = table.device.replace("", "cpu")
    table["data"] = table.data.replace("", "random")
    return table


def _size_names(facts):
    """Column of each size, in the order in which sizes first appear."""
    sizes = dict.fromkeys(name for fact in facts for name in fact.get("sizes", {}))
    return {name: f"size_{name}" if name in CELL_COLUMNS else name for name in sizes}


def _size_value(value):
    if isinstance(value, (list, tuple)):
        return value[0] if len(value) == 1 else "x".join(_side(side) for side in value)
    return value


def _side(side):
    """A pair inside a size, such as the padding of one side, is written ``1+2``."""
    return "+".join(map(str, side)) if isinstance(side, (list, tuple)) else str(side)


def _filled(table, columns):
    """Put columns into the table, of which some rows, by index, are known."""
    known = columns.reindex(table.index)
    blank = {name: known[name].fillna("") for name in columns if name in TEXT_COLUMNS}
    return table.assign(**{**known, **blank})


def _times(table, timed):
    rows = {}
    for index, key in zip(table.index, table[list(KEY)].itertuples(index=False, name=None)):
        if table.status[index] == "ok" and key in timed:
            timing = timed[key]
            seconds = timing.seconds
            low, high, _ = interval_of(seconds, timing.process)
            first, median, third = quartiles(seconds)
            rows[index] = {
                "sample_count": len(seconds),
                "process_count": len(np.unique(timing.process)),
                "median_s": median,
                "low_s": low,
                "high_s": high,
                "min_s": seconds.min(),
                "q1_s": first,
                "q3_s": third,
                "cores_used": timing.cores_used,
            }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(_TIMES), dtype=float)


_TIMES = (
    "sample_count",
    "process_count",
    "median_s",
    "low_s",
    "high_s",
    "min_s",
    "q1_s",
    "q3_s",
    "cores_used",
)


def _break_even(table):
    """Calls after which compiling has paid off against the best that needs no compiling."""
    ready = published(table)
    ready = ready[~(ready.compile_s > 0) & (ready.family != CHOOSER)]
    best = ready.groupby(list(CONTEST)).median_s.min().rename("best_s")
    saved = table.merge(best, how="left", on=list(CONTEST)).best_s.to_numpy() - table.median_s
    calls = np.ceil(table.compile_s / saved)
    return calls.where((saved > 0) & (table.compile_s > 0))
