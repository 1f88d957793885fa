"""The ledger of compiling: what a kernel costs before it is fast, and when that has paid off."""

import pandas as pd

from convgrad.results.schema import CHOOSER, CONTEST
from convgrad.results.summary import published

COLUMNS = [
    "operation",
    "kernel",
    "dtype",
    "threads",
    "cache",
    "call",
    "case",
    "family",
    "compile_s",
    "load_s",
    "first_call_s",
    "steady_s",
    "break_even_calls",
    "against",
    "against_s",
]


def ledger(cells):
    """A row for each kernel that is compiled, dtype, thread count, cache mode and way of calling.

    Parameters
    ----------
    cells : DataFrame
        As `summary.cells` gives them.

    Returns
    -------
    DataFrame
        `COLUMNS`. ``case`` is the largest that was measured: ``first_call_s``, ``steady_s`` and
        ``break_even_calls`` are about it. ``against`` is the fastest kernel there that needs no
        compiling, if there is one; where compiling never pays, ``break_even_calls`` is missing.
    """
    timed = published(cells)
    ready = timed[~(timed.compile_s > 0) & (timed.family != CHOOSER)].sort_values(
        ["median_s", "kernel"]
    )
    rivals = ready.drop_duplicates(list(CONTEST))[[*CONTEST, "kernel", "median_s"]]
    compiled = timed[timed.compile_s > 0]
    # compiling is booked once for a kernel and dtype, and not with every case
    costs = compiled.groupby(["operation", "kernel", "dtype"], sort=False)[["compile_s", "load_s"]]
    compiled = compiled.assign(**costs.transform("max"))
    names = ["operation", "kernel", "dtype", "threads", "cache", "call"]
    largest = compiled.sort_values("flops", kind="stable").drop_duplicates(names, keep="last")
    place = compiled.groupby(["operation", "kernel"], sort=False).ngroup()
    order = largest.assign(place=place).sort_values(["place", "dtype", "threads", "cache", "call"])
    table = order.merge(
        rivals.rename(columns={"kernel": "against", "median_s": "against_s"}),
        how="left",
        on=list(CONTEST),
    )
    table = table.rename(columns={"median_s": "steady_s"}).assign(
        against=table.against.fillna("").astype(str)
    )
    return pd.DataFrame(table, columns=COLUMNS)


def payoff(row):
    """When a row's compiling has paid off, in words."""
    if row.break_even_calls == row.break_even_calls:
        return f"after {row.break_even_calls:,.0f} calls, against {row.against}"
    if not row.against:
        return "no rival does without"
    return f"never: {row.against} is faster" if row.against_s < row.steady_s else "unknown"
