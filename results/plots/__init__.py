"""Figures of a run: for each operation, and one over all. Every figure is SVG, PNG and CSV."""

from convgrad.results.plots import over_size
from convgrad.results.plots.overview import overview
from convgrad.results.plots.style import applied
from convgrad.results.summary import resolution, winners

KINDS = {
    "time": "time by parameter count",
    "memory": "memory by parameter count",
    "throughput": "throughput by size",
    "speedup": "speed-up by parameter count",
}


def write_plots(cells, info, folder):
    """Draw all figures of a run.

    Parameters
    ----------
    cells : DataFrame
        As `summary.cells` gives them.
    info : dict
        What ``run.json`` says.
    folder : Path
        Made if need be; figures of the same name are replaced.

    Returns
    -------
    dict of str to list of Picture
        By operation, in the order of the cells; the overview is under "". Nothing is drawn of an
        operation of which nothing was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if cells.empty:
        return {}
    pictures = {}
    with applied():
        dtype, threads = main_view(cells)
        whole = select(cells, dtype, threads)
        text = caption(whole, info, dtype, threads, marks="")
        summary = overview(whole, "overview", "Who wins, and by how much", text, folder)
        if summary:
            pictures[""] = [summary]
        for operation, own in cells.groupby("operation", sort=False):
            drawn = [p for p in _of_operation(operation, own, info, folder) if p]
            if drawn:
                pictures[operation] = drawn
    return pictures


def main_view(cells):
    """The dtype and thread count that figures show first: float32 and all threads, if there are."""
    timed = cells[cells.median_s.notna()]
    cells = timed if len(timed) else cells
    dtypes = list(dict.fromkeys(cells.dtype))
    dtype = "float32" if "float32" in dtypes else dtypes[0]
    return dtype, int(cells.threads[cells.dtype == dtype].max())


def select(cells, dtype, threads):
    """Cells of one dtype and thread count; a GPU's, which has no such count, are always in."""
    cells = cells[cells.dtype == dtype]
    own = cells[(cells.threads == threads) | (cells.device != "cpu")]
    order = own.assign(foreign=own.threads != threads).sort_values("foreign", kind="stable")
    return (
        order.drop_duplicates(["operation", "case", "kernel"]).drop(columns="foreign").sort_index()
    )


MARKS = " Band: 95 % interval of the median. Hollow: flagged. Cross: failed."


def caption(view, info, dtype, threads, marks=MARKS):
    """Where and with what the figure was measured, and what it can tell apart."""
    machine = info.get("machine") or {}
    libraries = info.get("libraries") or {}
    parts = [
        str(machine.get("cpu", "unknown machine")),
        f"{threads} thread{'s' * (threads != 1)}",
        dtype,
        ", ".join(
            f"{name} {libraries[name]}" for name in _NAMED if isinstance(libraries.get(name), str)
        ),
    ]
    told = resolution(view)
    smallest = f" Differences under {100 * told:.2g}\u00a0% cannot be told." if told == told else ""
    return f"{' · '.join(part for part in parts if part)}.{marks}{smallest}"


_NAMED = ("numpy", "scipy", "numba", "torch", "opencv", "pyfftw")


def _of_operation(operation, cells, info, folder):
    dtype, threads = main_view(cells)
    view = select(cells, dtype, threads)

    def draw(kind, view, dtype, threads, suffix="", note=""):
        return getattr(over_size, kind)(
            view,
            f"{operation}-{kind}{suffix}",
            f"{operation}: {KINDS[kind]}{note}",
            caption(view, info, dtype, threads, marks="" if kind == "memory" else MARKS),
            folder,
        )

    yield from (draw(kind, view, dtype, threads) for kind in KINDS)
    single = select(cells, dtype, 1)
    if threads != 1 and _tells_more(view, single):
        yield draw("time", single, dtype, 1, "-1-thread", ", 1 thread")
        yield draw("speedup", single, dtype, 1, "-1-thread", ", 1 thread")
    if dtype == "float32":
        double = select(cells, "float64", threads)
        if _tells_more(view, double):
            yield draw("time", double, "float64", threads, "-float64", ", float64")


def _tells_more(view, other):
    """Whether another view has a winner that the main view does not have at these sizes."""
    if other.empty:
        return False
    names = ["parameters", "flops", "data"]
    ours, theirs = (
        winners(part).merge(
            part[["case", *names]].drop_duplicates("case"), on="case", suffixes=("", "_c")
        )
        for part in (view, other)
    )
    both = theirs.merge(ours, on=names, suffixes=("", "_main"), how="left")
    return bool((both.winner != both.winner_main).any())
