"""Figures of a run: for each operation, and one over all. Every figure is SVG, PNG and CSV."""

import functools
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pandas as pd

from convgrad.results.plots import accuracy, aims, ledger, over_size, roofline
from convgrad.results.plots.overview import overview
from convgrad.results.plots.style import applied
from convgrad.results.plots.views import (
    HOLLOW,
    MARKS,
    caption,
    differ,
    main_view,
    select,
    with_efficiency,
)
from convgrad.results.schema import CALLS, ON_DEVICE

__all__ = ["main_view", "select", "write_plots"]

TITLES = {
    "time": "time by parameter count",
    "memory": "memory by parameter count",
    "roofline": "how near the machine's limits",
    "accuracy": "accuracy against time",
    "ledger": "what compiling costs, and when it pays",
    "throughput": "throughput by size",
    "speedup": "speed-up by parameter count",
    "efficiency": "parallel efficiency",
}


def write_plots(cells, info, folder, held=()):
    """Draw all figures of a run.

    Parameters
    ----------
    cells : DataFrame
        As `summary.cells` gives them.
    info : dict
        What ``run.json`` says.
    folder : Path
        Made if need be; figures of the same name are replaced.
    held : DataFrame
        As `convgrad.results.aims` gives it; most runs have no aims.

    Returns
    -------
    dict of str to list of Picture
        By operation, in the order of the cells; what is about all of them is under "". Nothing is
        drawn of an operation of which nothing was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if cells.empty:
        return {}
    pictures = {}
    with applied():
        view = main_view(cells)
        whole = select(cells, *view)
        text = caption(whole, info, *view, marks="")
        summary = overview(whole, "overview", "Who wins, and by how much", text, folder)
        pictures[""] = [summary] if summary else []
        if len(held):
            counts = " and ".join(map(str, sorted(set(held.threads))))
            seen = "all dtypes", counts, *view[2:]
            text = caption(whole.assign(resolution=float("nan")), info, *seen, marks="")
            pictures[""].insert(
                0, aims.draw(held, "aims", "What our kernels are meant to reach", text, folder)
            )
    jobs = [(operation, own, info, folder) for operation, own in cells.groupby("operation")]
    jobs.sort(key=lambda job: len(job[1]), reverse=True)
    if len(jobs) < _WORTH_PROCESSES:
        drawn = list(map(_drawn, jobs))
    else:
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            drawn = list(pool.map(_drawn, jobs))
    by_operation = {operation: found for (operation, *_), found in zip(jobs, drawn) if found}
    order = [operation for operation in dict.fromkeys(cells.operation) if operation in by_operation]
    return pictures | {operation: by_operation[operation] for operation in order}


_WORTH_PROCESSES = 3
"""Operations from which on they are drawn side by side: to start a process takes seconds."""


def _drawn(job):
    """Figures of one operation."""
    with applied():
        return [picture for picture in _of_operation(*job) if picture]


def _of_operation(operation, cells, info, folder):
    dtype, threads, cache, call = main_view(cells)
    view = select(cells, dtype, threads, cache, call)

    def draw(kind, make, shown, note="", *, seen=(dtype, threads, cache, call), marks=MARKS):
        return make(
            shown,
            "-".join([operation, kind, *note.split()]),
            f"{operation}: {TITLES[kind]}" + (f", {note}" if note else ""),
            caption(shown, info, *seen, marks=marks),
            folder,
        )

    yield draw("time", over_size.time, view)
    # the resolution is one of times
    yield draw("memory", over_size.memory, view.assign(resolution=float("nan")), marks="")
    under = functools.partial(roofline.draw, roofline.roof_of(info, dtype, threads, call))
    yield draw("roofline", under, view, marks=HOLLOW)
    both = pd.concat(
        [select(cells, one, threads, cache, call) for one in dict.fromkeys(cells.dtype)]
    ).sort_index()
    yield draw("accuracy", accuracy.draw, both, seen=("all dtypes", threads, cache, call), marks="")
    yield draw("ledger", ledger.draw, both, seen=("all dtypes", threads, cache, call), marks="")
    yield draw("throughput", over_size.throughput, view)
    yield draw("speedup", over_size.speedup, view)

    single = select(cells, dtype, 1, cache, call)
    if threads != 1:
        shown = with_efficiency(view, single)
        yield draw("efficiency", over_size.efficiency, shown, marks=HOLLOW)
        if differ(view, single):
            alone = (dtype, 1, cache, call)
            yield draw("time", over_size.time, single, "1 thread", seen=alone)
            yield draw("speedup", over_size.speedup, single, "1 thread", seen=alone)
    double = select(cells, "float64", threads, cache, call)
    if dtype != "float64" and differ(view, double):
        seen = ("float64", threads, cache, call)
        yield draw("time", over_size.time, double, "float64", seen=seen)
    if cache == "warm":
        seen = (dtype, threads, "cold", call)
        yield draw("time", over_size.time, select(cells, *seen), "cold", seen=seen)
    for other in CALLS:
        if other != call:
            seen = (dtype, threads, cache, other)
            yield draw("time", over_size.time, select(cells, *seen), other, seen=seen)
            if other == ON_DEVICE:
                shown = select(cells, *seen)
                under = functools.partial(roofline.draw, roofline.roof_of(info, *seen[:2], other))
                yield draw("roofline", under, shown, other, seen=seen, marks=HOLLOW)
