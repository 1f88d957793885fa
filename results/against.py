"""Two versions of the same kernels, measured in the same rounds: what became faster or slower."""

import pandas as pd

from convgrad.results import verdicts
from convgrad.results.schema import AGAINST, KEY
from convgrad.results.timings import timings

COLUMNS = [*KEY, "median_s", "against_s", "ratio", "low", "high", "p_adjusted", "verdict"]


def against(samples, cells):
    """Compare each kernel with the one of the other version.

    Parameters
    ----------
    samples : DataFrame
        Columns as `schema.SAMPLE_COLUMNS`.
    cells : DataFrame
        As `summary.cells` gives them.

    Returns
    -------
    DataFrame
        `COLUMNS`, the largest loss first. ``ratio`` is the other version's time over that of the
        installed one: more than 1 where the installed one is faster, as ``verdict`` has it.
    """
    table = cells.join(verdicts.twins(cells, timed := timings(samples))[["twin_deviation"]])
    rows = {tuple(getattr(row, name) for name in KEY): row for row in table.itertuples()}
    pairs = {
        row.Index: (rows[other], row)
        for key, row in rows.items()
        if (other := tuple(f"{v}{AGAINST}" if n == "kernel" else v for n, v in zip(KEY, key)))
        in rows
        and row.median_s == row.median_s
        and rows[other].median_s == rows[other].median_s
    }
    if not pairs:
        return pd.DataFrame(columns=COLUMNS)
    found = table[[*KEY, "median_s"]].join(verdicts.judge(pairs, timed), how="inner")
    found["against_s"] = [pairs[index][0].median_s for index in found.index]
    return found.sort_values("ratio", kind="stable")[COLUMNS]
