"""Figures of a run: for each operation, and one over all. Every figure is SVG, PNG and CSV."""

import functools
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pandas as pd

from convgrad.results.plots import accuracy, aims, ledger, over_size, roofline
from convgrad.results.plots.analysis import of_findings
from convgrad.results.plots.overview import overview
from convgrad.results.plots.studies import of_models
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
from convgrad.results.schema import CALLS, MODELS, ON_DEVICE

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


LINEAR = "linear"
"""Under it are the figures of linear analysis, which is no operation."""


def write_plots(cells, info, folder, held=(), found=None):
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
    found : dict of str to DataFrame, optional
        As `convgrad.results.findings` gives it; most runs have no findings.

    Returns
    -------
    dict of str to list of Picture
        By operation, in the order of the cells; what is about all of them is under "", what was
        found besides under `LINEAR`. Nothing is drawn of an operation of which nothing was
        measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if cells.empty:
        return {}
    contests = cells[cells.operation != MODELS]
    with applied():
        pictures = {"": list(_of_all(contests, info, folder, held)) if len(contests) else []}
        models = of_models(cells[cells.operation == MODELS], info, folder)
        linear = of_findings(found, _machine(cells, info), folder) if found else []
    jobs = [(operation, own, info, folder) for operation, own in contests.groupby("operation")]
    jobs.sort(key=lambda job: len(job[1]), reverse=True)
    if len(jobs) < _WORTH_PROCESSES:
        drawn = list(map(_drawn, jobs))
    else:
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            drawn = list(pool.map(_drawn, jobs))
    by_operation = {operation: found for (operation, *_), found in zip(jobs, drawn) if found}
    if models:
        by_operation[MODELS] = models
    order = [operation for operation in dict.fromkeys(cells.operation) if operation in by_operation]
    pictures |= {operation: by_operation[operation] for operation in order}
    return pictures | ({LINEAR: linear} if linear else {})


def _machine(cells, info):
    """Caption of what was computed in float64, on all threads, and not in rounds."""
    whole = cells.assign(resolution=float("nan"))
    return caption(whole, info, "float64", cells.threads.max(), marks="")


def _of_all(cells, info, folder, held):
    """Figures over all operations."""
    view = main_view(cells)
    whole = select(cells, *view)
    if len(held):
        counts = " and ".join(map(str, sorted(set(held.threads))))
        seen = "all dtypes", counts, *view[2:]
        text = caption(whole.assign(resolution=float("nan")), info, *seen, marks="")
        yield aims.draw(held, "aims", "What our kernels are meant to reach", text, folder)
    text = caption(whole, info, *view, marks="")
    if summary := overview(whole, "overview", "Who wins, and by how much", text, folder):
        yield summary


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
