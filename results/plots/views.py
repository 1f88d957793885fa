"""Which cells a figure shows: one dtype, thread count, cache mode and call; and what it says."""

from convgrad.results.plots.style import percent
from convgrad.results.schema import ON_DEVICE, REMARKS
from convgrad.results.summary import resolution, winners

HOLLOW = " Hollow: in doubt, see its flags."
MARKS = f" Band: 95 % interval of the median.{HOLLOW} Cross: failed."

_CALLS = {
    "plain": "",
    "out": "into given arrays",
    "prepared": "weights kept",
    "prepared out": "weights kept, into given arrays",
    ON_DEVICE: "data on the device",
}
_OPENCV = ("opencv-python", "opencv-python-headless")
_NAMED = ("numpy", "scipy", "numba", "torch", *_OPENCV, "pyfftw")


def main_view(cells):
    """The view that is shown first: float32, all threads, warm, plain calls, where there are such.

    Returns
    -------
    tuple
        dtype, threads, cache and call, as `select` takes them.
    """
    timed = cells[cells.median_s.notna()]
    cells = timed if len(timed) else cells
    dtype = _preferred(cells.dtype, "float32")
    cells = cells[cells.dtype == dtype]
    cache = _preferred(cells.cache, "warm")
    cells = cells[cells.cache == cache]
    call = _preferred(cells.call, "plain")
    return dtype, int(cells.threads[cells.call == call].max()), cache, call


def select(cells, dtype, threads, cache="warm", call="plain"):
    """Cells of one view; a GPU's, which has no thread count, are always in."""
    cells = cells[(cells.dtype == dtype) & (cells.cache == cache) & (cells.call == call)]
    own = cells[(cells.threads == threads) | (cells.device != "cpu")]
    order = own.assign(foreign=own.threads != threads).sort_values("foreign", kind="stable")
    return (
        order.drop_duplicates(["operation", "case", "kernel"]).drop(columns="foreign").sort_index()
    )


def doubtful(flags):
    """Which texts of flags cast doubt on their cell, rather than explain its time."""
    return flags.map(lambda text: not set(text.split()) <= set(REMARKS)).astype(bool)


def with_efficiency(view, single):
    """The cells of ``view`` with their parallel efficiency, T1 / (p Tp), as a column.

    Parameters
    ----------
    view, single : DataFrame
        The same cells on p threads and on one.
    """
    names = ["operation", "case", "kernel"]
    alone = single.loc[single.device == "cpu", [*names, "median_s"]]
    joined = view.merge(alone, how="left", on=names, suffixes=("", "_alone"))
    efficiency = joined.median_s_alone / joined.median_s / joined.threads
    return view.assign(efficiency=efficiency.to_numpy())


def differ(view, other):
    """Whether another view has a winner that this one does not have at the same sizes."""
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


def caption(view, info, dtype, threads, cache="warm", call="plain", marks=MARKS):
    """Where and with what the figure was measured, and what it can tell apart."""
    machine = info.get("machine") or {}
    libraries = info.get("libraries") or {}
    parts = [
        *_where(machine, threads, call),
        dtype,
        "" if cache == "warm" else f"{cache} cache",
        _CALLS[call],
        ", ".join(
            f"{name.partition('-')[0]} {libraries[name]}"
            for name in _NAMED
            if isinstance(libraries.get(name), str)
        ),
    ]
    told = resolution(view)
    least = (
        f" Differences below {percent(told)} cannot be told apart here today."
        if told == told
        else ""
    )
    return f"{' · '.join(part for part in parts if part)}.{marks}{least}"


def _where(machine, threads, call):
    """The processor and its threads, or the device where data stay on it."""
    if call == ON_DEVICE and machine.get("devices"):
        return [str(machine["devices"][0]).split(" · ")[0]]
    return [machine_name(machine), threads_text(threads)]


def machine_name(machine):
    """The processor, and what held libraries to less than all of it."""
    restricted = machine.get("restricted")
    held = f" restricted by {', '.join(map(str, restricted))}" if restricted else ""
    return f"{machine.get('cpu', 'unknown machine')}{held}"


def _preferred(column, name):
    values = list(dict.fromkeys(column))
    return name if name in values else values[0]


def threads_text(count):
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'' if count == 1 else 's'}"
