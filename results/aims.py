"""What the fastest kernels are meant to reach, and what a run over random sizes found."""

import numpy as np
import pandas as pd

from convgrad.results.schema import PEAK, READ, ROOF_PROBES
from convgrad.results.statistics import compare
from convgrad.results.summary import published

RATIO, ROOF = "times a rival", "share of the roof"
"""What an aim is about: the best rival's time over ours, or the time that the machine's measured
limits leave over ours."""

NOWHERE_BELOW = 0.85
"""An aim is for the geometric mean; no single case may stay below this part of it, unless it says
what else holds everywhere."""

COLUMNS = (
    *("aim", "measure", "dtype", "threads", "cases", "drawn", "must_be", "nowhere_below"),
    *("found", "low", "high", "least", "least_case", "rivals", "holds"),
)


def aims(samples, cells, info):
    """Hold a run against its aims.

    Parameters
    ----------
    samples, cells : DataFrame
        As `store.Run.samples` and `summary.cells` give them.
    info : dict
        What ``run.json`` says; ``aims`` is a list of dict with ``name``, ``measure`` (`RATIO` or
        `ROOF`), ``must_be``, ``operation``, ``call``, ``cases`` (labels), ``ours`` and ``rivals``
        (names), and, where it is not `NOWHERE_BELOW` of the aim, ``nowhere_below``.

    Returns
    -------
    DataFrame
        One row for each aim, dtype and number of threads that the run was about. ``cases`` is how
        many of those ``drawn`` were measured; times that are not published, as they would be faster
        than the machine, do not count. ``found`` is the geometric mean over the cases of what the
        best of ours reached: the median over paired rounds of the time of the best rival over its
        own, or of the least time by what the machine could do in that very round (the larger of
        flops by the multiply-add probe and bytes by the read probe); ``low`` and ``high`` its 95 %
        interval (cases are independent: their half-widths are combined in quadrature on the
        logarithm). In rounds without probes the share is the `roof_fraction`, which has no
        interval. ``least`` is the worst case, ``rivals`` who was the best one how often. Of no case
        nothing is said, and ``holds`` is None.
    """
    rows = []
    for aim in info.get("aims", []):
        floor = aim.get("nowhere_below") or NOWHERE_BELOW * aim["must_be"]
        own = cells[
            (cells.operation == aim["operation"])
            & cells.case.isin(aim["cases"])
            & (cells.call == aim.get("call", "plain"))
        ]
        for (dtype, threads), group in own.groupby(["dtype", "threads"]):
            found = [_of_case(samples, case, aim) for _, case in group.groupby("case")]
            rows.append(
                {
                    "aim": aim["name"],
                    **{name: aim[name] for name in ("measure", "must_be")},
                    **{"dtype": dtype, "threads": threads, "drawn": len(set(aim["cases"]))},
                    "nowhere_below": floor,
                    **_joined([one for one in found if one], aim["must_be"], floor),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_case(samples, cells, aim):
    """Case, value, low, high and rival; None where nobody of ours, or no rival, was timed."""
    cells = published(cells[cells.status == "ok"])
    best = {
        side: part.loc[part.median_s.idxmin()]
        for side in ("ours", "rivals")
        if len(part := cells[cells.kernel.isin(aim[side])])
    }
    if "ours" not in best:
        return None
    ours = best["ours"]
    block = samples[
        (samples.operation == ours.operation)
        & (samples.case == ours.case)
        & (samples.threads == ours.threads)
        & (samples.cache == ours.cache)
        & (samples.call == ours.call)
    ]
    if aim["measure"] == ROOF:
        if not block.kernel.isin(ROOF_PROBES).any():
            share = ours.roof_fraction
            return None if np.isnan(share) else (ours.case, share, np.nan, np.nan, "")
        rival, other = "", _least_seconds(block, ours)
    elif "rivals" in best:
        rival = best["rivals"].kernel
        other = _seconds(block, rival)
    else:
        return None
    ratios = np.log(other / _seconds(block, ours.kernel)).dropna()
    if ratios.empty:
        return None
    ratio = compare(ratios, ratios.index.get_level_values("process"))
    return ours.case, ratio.ratio, ratio.low, ratio.high, rival


def _seconds(block, kernel):
    """Seconds of a loop, by process and round."""
    own = block[block.kernel == kernel].set_index(["process", "round"])
    return own.wall_ns / own.loops / 1e9


def _least_seconds(block, cell):
    """Seconds that a direct kernel needs at least, by the probes of the same round."""
    return np.maximum(cell.flops * _seconds(block, PEAK), cell.bytes * _seconds(block, READ))


def _joined(found, must_be, floor):
    """What several cases say together."""
    if not found:
        return {"cases": 0, "rivals": "", "holds": None}
    case, values, lows, highs, rivals = (np.array(column) for column in zip(*found))
    logarithm = np.log(values)
    below, above = (
        np.sqrt(np.sum((logarithm - np.log(ends)) ** 2)) / len(values) for ends in (lows, highs)
    )
    mean, least = logarithm.mean(), values.argmin()
    counts = pd.Series(rivals[rivals != ""]).value_counts()
    return {
        "cases": len(found),
        "found": np.exp(mean),
        "low": np.exp(mean - below),
        "high": np.exp(mean + above),
        "least": values[least],
        "least_case": case[least],
        "rivals": ", ".join(f"{name} {count}" for name, count in counts.items()),
        "holds": bool(np.exp(mean) >= must_be and values[least] >= floor),
    }
