"""From samples to one row a cell, and from cells to winners."""

import numpy as np
import pandas as pd

from convgrad.results.schema import CELL_COLUMNS, CONTEST, KEY, TEXT_COLUMNS
from convgrad.results.statistics import ENOUGH, median_interval, quartiles

SAME = 1.02
"""Times whose ratio lies within this factor both ways count as the same."""

NOISY = 0.05
ABOVE_ROOF = 1.05


def cells(samples, facts, roofs=()):
    """Summarise a run: one row a case, kernel and thread count.

    Parameters
    ----------
    samples : DataFrame
        Columns as `schema.SAMPLE_COLUMNS`.
    facts : list of dict
        One dict a cell, merged, as `Run.facts` gives them.
    roofs : list of dict
        Measured limits of the machine: ``dtype``, ``threads``, ``flops_per_s`` and ``bandwidth``,
        a list of (working set in bytes, bytes/s) with ascending working sets; ``device`` is "cpu"
        unless given.

    Returns
    -------
    DataFrame
        `schema.CELL_COLUMNS`, with a column for each size after the key. Times are in seconds a
        call; they are missing unless the status is "ok". ``speedup`` is the median over rounds of
        the baseline's time over the kernel's, with the interval of that median.
    """
    table = _facts_table(facts)
    timed = samples.merge(table.loc[table.status == "ok", list(KEY)], on=list(KEY))
    timed["seconds"] = timed.wall_ns / timed.loops / 1e9
    table = _join(table, _times(timed))
    table = _join(table, _speedups(timed, table))
    table["gflops"] = table.flops / table.median_s / 1e9
    table["gbytes_s"] = table.bytes / table.median_s / 1e9
    limit = _roof_seconds(table.assign(algorithm="direct", device="cpu"), roofs)
    table["roof_gflops"] = table.flops / limit / 1e9
    table["roof_fraction"] = _roof_seconds(table, roofs) / table.median_s
    table["flags"] = _flags(table)
    table["break_even_calls"] = _break_even(table)
    sizes = list(_size_names(facts).values())
    rest = [name for name in CELL_COLUMNS if name not in KEY]
    return table[[*KEY, *sizes, *rest]]


def published(cells):
    """Cells with a time that may be believed: measured, and not faster than the machine can be."""
    return cells[cells.median_s.notna() & ~cells["flags"].str.contains("above-roof", regex=False)]


def winners(cells):
    """Name the fastest kernel of each operation, case and thread count.

    Parameters
    ----------
    cells : DataFrame
        As `cells` gives them; only those that are `published` take part.

    Returns
    -------
    DataFrame
        operation, case, threads, dtype, parameters, flops, winner, family, median_s, runner_up,
        runner_up_family, runner_up_s, factor_over_runner_up, clear (whether the intervals of the
        two do not touch), baseline, baseline_s and factor_over_baseline.
    """
    rows = []
    ranking = published(cells).sort_values(["median_s", "kernel"])
    records = ranking[[*KEY, *_RANKED]].to_dict("records")
    contests = {}
    for record in records:
        contests.setdefault(tuple(record[name] for name in CONTEST), []).append(record)
    order = dict.fromkeys(cells[list(CONTEST)].itertuples(index=False, name=None))
    for contest in order:
        ranked = contests.get(contest)
        if not ranked:
            continue
        first, second = ranked[0], ranked[1] if len(ranked) > 1 else None
        base = next((rival for rival in ranked if rival["baseline"]), None)
        rows.append(
            {
                **dict(zip(CONTEST, contest)),
                **{name: first[name] for name in ("dtype", "parameters", "flops")},
                "winner": first["kernel"],
                "family": first["family"],
                "median_s": first["median_s"],
                "runner_up": second["kernel"] if second else "",
                "runner_up_family": second["family"] if second else "",
                "runner_up_s": second["median_s"] if second else np.nan,
                "factor_over_runner_up": second["median_s"] / first["median_s"]
                if second
                else np.nan,
                "clear": bool(second and first["high_s"] < second["low_s"]),
                "baseline": base["kernel"] if base else "",
                "baseline_s": base["median_s"] if base else np.nan,
                "factor_over_baseline": _factor_over_baseline(first, base),
            }
        )
    return pd.DataFrame(rows, columns=WINNER_COLUMNS)


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
    "clear",
    "baseline",
    "baseline_s",
    "factor_over_baseline",
]


_RANKED = [
    "dtype",
    "family",
    "baseline",
    "parameters",
    "flops",
    "median_s",
    "low_s",
    "high_s",
    "speedup",
]


def resolution(cells):
    """Smallest relative difference that the cells could tell: the median interval's half-width."""
    half = _half_width(cells).dropna()
    return float(half.median()) if len(half) else np.nan


def _factor_over_baseline(first, base):
    """Paired speed-up where rounds could be paired, else the ratio of the medians."""
    if base is None:
        return np.nan
    paired = first["speedup"]
    return paired if np.isfinite(paired) else base["median_s"] / first["median_s"]


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


def _join(table, columns):
    """Fill columns of the table from a table indexed by `KEY`."""
    index = pd.MultiIndex.from_frame(table[list(KEY)])
    aligned = columns.reindex(index)
    return table.assign(**{name: aligned[name].to_numpy() for name in columns})


def _grouped(table, column, row):
    """Apply ``row`` to the values of ``column`` of each cell; a table indexed by `KEY`."""
    rows = {
        key: row(values.to_numpy()) for key, values in table.groupby(list(KEY), sort=False)[column]
    }
    index = pd.MultiIndex.from_tuples([*rows, _EXAMPLE], names=KEY)
    # the example gives the columns their types where there is nothing else
    return pd.DataFrame([*rows.values(), row(np.ones(1))], index=index).iloc[:-1]


_EXAMPLE = ("", "", "", 0)


def _times(timed):
    def row(seconds):
        interval = median_interval(seconds)
        first, median, third = quartiles(seconds)
        return {
            "sample_count": len(seconds),
            "median_s": median,
            "low_s": interval.low,
            "high_s": interval.high,
            "min_s": seconds.min(),
            "q1_s": first,
            "q3_s": third,
        }

    return _grouped(timed, "seconds", row)


def _speedups(timed, table):
    """Compare with the baseline round by round, so that what slows both cancels."""
    rounds = [*CONTEST, "process", "round"]
    base = table.loc[table.baseline, list(KEY)].drop_duplicates(list(CONTEST))
    reference = timed.merge(base, on=list(KEY))[[*rounds, "seconds"]]
    others = timed[~pd.MultiIndex.from_frame(timed[list(KEY)]).isin(_index(base))]
    pairs = others.merge(reference, on=rounds, suffixes=("", "_base"))
    pairs["log_ratio"] = np.log(pairs.seconds_base / pairs.seconds)

    def row(log_ratios):
        interval = median_interval(log_ratios)
        return {
            "speedup": np.exp(np.median(log_ratios)),
            "speedup_low": np.exp(interval.low),
            "speedup_high": np.exp(interval.high),
            "verdict": _verdict(np.exp(interval.low), np.exp(interval.high), len(log_ratios)),
        }

    compared = _grouped(pairs, "log_ratio", row)
    compared = compared.reindex(_index(table))
    return compared.assign(verdict=compared.verdict.fillna(""))


def _verdict(low, high, rounds):
    if rounds < ENOUGH:
        return "unresolved"  # no interval of so few rounds reaches 95 %
    if low >= 1 / SAME and high <= SAME:
        return "same"
    return "faster" if low > 1 else "slower" if high < 1 else "unresolved"


def _index(table):
    return pd.MultiIndex.from_frame(table[list(KEY)])


def _roof_seconds(table, roofs):
    """Least time of each cell's work on the measured machine; nan where that is not known."""
    known = {(r.get("device", "cpu"), r["dtype"], r["threads"]): r for r in roofs}
    keys = zip(table.device, table.dtype, table.threads)
    seconds = [
        _roof_time(row, known[key]) if key in known else np.nan
        for key, row in zip(keys, table.itertuples(index=False))
    ]
    return np.array(seconds, dtype=float)


def _roof_time(cell, roof):
    """Seconds that the machine needs at least for what the definition makes it do.

    Another algorithm saves arithmetic, and passes over the data with it: of such a one it is
    only certain that it touches what is alive once.
    """
    direct = cell.algorithm == "direct"
    moved = cell.bytes if direct else np.fmin(cell.bytes, cell.footprint)
    memory = moved / bandwidth_at(roof["bandwidth"], cell.footprint)
    return np.fmax(cell.flops / roof["flops_per_s"], memory) if direct else memory


def bandwidth_at(bandwidth, footprint):
    """Measured bytes/s for a working set, between measurements linear in the logarithms."""
    if not len(bandwidth):
        return np.nan
    sizes, speeds = np.log(np.array(bandwidth, dtype=float)).T
    return float(np.exp(np.interp(np.log(footprint), sizes, speeds)))


def _half_width(table):
    return (table.high_s - table.low_s) / 2 / table.median_s


def _flags(table):
    conditions = {
        "few-samples": table.sample_count < ENOUGH,
        "noisy": _half_width(table) > NOISY,
        "above-roof": table.roof_fraction > ABOVE_ROOF,
    }
    marks = zip(*(condition.to_numpy() for condition in conditions.values()))
    texts = [" ".join(name for name, on in zip(conditions, row) if on) for row in marks]
    return pd.Series(texts, index=table.index, dtype=str)


def _break_even(table):
    """Calls after which compiling has paid off against the best that needs no compiling."""
    ready = published(table)
    ready = ready[~(ready.compile_s > 0)]
    best = ready.groupby(list(CONTEST)).median_s.min().rename("best_s")
    saved = table.merge(best, how="left", on=list(CONTEST)).best_s.to_numpy() - table.median_s
    calls = np.ceil(table.compile_s / saved)
    return calls.where((saved > 0) & (table.compile_s > 0))
