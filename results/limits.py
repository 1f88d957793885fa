"""What the measured machine allows at most, and which of its limits binds: the roofline.

Source: Williams, Waterman and Patterson, "Roofline: an insightful visual performance model"
(2009); with the bandwidth of the level in which the working set lies, not main memory's alone.
"""

import numpy as np
import pandas as pd

from convgrad.results.schema import ON_DEVICE

COLUMNS = ("intensity", "level", "bound_by", "roof_gflops", "roof_fraction")


def limits(table, info):
    """Hold each cell against the roofs of its dtype and thread count.

    Parameters
    ----------
    table : DataFrame
        Cells, with ``median_s``.
    info : dict
        What ``run.json`` says, of which ``roofs`` and ``machine`` are used where they are there.

    Returns
    -------
    DataFrame
        `COLUMNS` of each cell. Only a "direct" algorithm does the arithmetic that the definition
        names: for others ``bound_by`` is not known.
    """
    roofs = {
        (roof.get("device", "cpu"), roof["dtype"], roof.get("threads")): roof
        for roof in info.get("roofs") or ()
    }
    machine = info.get("machine") or {}
    rows = []
    for cell in table.itertuples(index=False):
        arithmetic, memory = _least_seconds(cell, roofs)
        drawn = "cuda" if cell.call == ON_DEVICE else "cpu"
        direct = _least_seconds(cell._replace(algorithm="direct", device=drawn), roofs)
        rows.append(
            (
                cell.flops / cell.bytes if cell.bytes else np.nan,
                _level(cell, machine),
                _binding(arithmetic, memory),
                cell.flops / np.fmax(*direct) / 1e9,
                np.fmax(arithmetic, memory) / cell.median_s,
            )
        )
    return pd.DataFrame(rows, index=table.index, columns=list(COLUMNS))


def bandwidth_at(bandwidth, footprint):
    """Measured bytes/s for a working set, between measurements linear in the logarithms."""
    if not len(bandwidth):
        return np.nan
    sizes, speeds = np.log(np.array(bandwidth, dtype=float)).T
    return float(np.exp(np.interp(np.log(footprint), sizes, speeds)))


def _least_seconds(cell, roofs):
    """Seconds that the machine needs for arithmetic, and for memory; nan where not known.

    Another algorithm saves arithmetic, and passes over the data with it: of such a one it is
    only certain that it touches what is alive once.
    """
    # threads are the processor's
    threads = cell.threads if cell.device == "cpu" else None
    roof = roofs.get((cell.device, cell.dtype, threads))
    if roof is None:
        return np.nan, np.nan
    bandwidth, alive = roof["bandwidth"], np.fmin(cell.bytes, cell.footprint)
    direct = cell.algorithm == "direct"
    memory = (cell.bytes if direct else alive) / bandwidth_at(bandwidth, cell.footprint)
    if cell.cache == "cold" and len(bandwidth):
        # the first pass comes from main memory; a fit's further ones find what that has left
        memory = np.fmax(memory, alive / bandwidth[-1][1])
    return cell.flops / roof["flops_per_s"] if direct else np.nan, memory


def _binding(arithmetic, memory):
    if np.isnan(arithmetic) or np.isnan(memory):
        return ""
    return "memory" if memory > arithmetic else "arithmetic"


def _level(cell, machine):
    """Smallest memory level that holds what is alive; L1 and L2 are a core's own."""
    if cell.device != "cpu" or np.isnan(cell.footprint):
        return ""
    if cell.cache == "cold":
        return "memory"
    caches = {
        "L1": ("l1d_bytes", cell.threads),
        "L2": ("l2_bytes", cell.threads),
        "L3": ("l3_bytes", min(cell.threads, machine.get("l3_instances") or 1)),
    }
    known = {
        level: machine[name] * count for level, (name, count) in caches.items() if machine.get(name)
    }
    if not known:
        return ""
    return next((level for level, size in known.items() if cell.footprint <= size), "memory")
