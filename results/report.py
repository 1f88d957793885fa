"""The report: tables, figures and one self-contained page, made from the raw facts of a run."""

from convgrad.results import page
from convgrad.results.plots import write_plots
from convgrad.results.summary import cells as summarise

COUNTS = (
    "threads",
    "parameters",
    "flops",
    "bytes",
    "footprint",
    "sample_count",
    "peak_bytes",
    "workspace_bytes",
    "break_even_calls",
)
"""Columns written as whole numbers."""


def write_report(run):
    """Make ``cells.csv``, ``plots/`` and ``report.html`` of a run, whatever is there so far.

    The same raw facts give the same bytes.

    Parameters
    ----------
    run : store.Run

    Returns
    -------
    DataFrame
        The cells, as `summary.cells` gives them.
    """
    cells = summarise(run.samples(), run.facts(), run.info.get("roofs") or ())
    whole = cells.astype(dict.fromkeys(COUNTS, "Int64"))
    whole.to_csv(run.path / "cells.csv", index=False, lineterminator="\n", float_format="%.6g")
    folder = run.path / "plots"
    for old in folder.glob("*.svg"):  # of an earlier report, perhaps of cells that are no more
        for suffix in (".svg", ".png", ".csv"):
            old.with_suffix(suffix).unlink(missing_ok=True)
    pictures = write_plots(cells, run.info, folder)
    text = page.render(run.info, cells, pictures)
    (run.path / "report.html").write_text(text, encoding="utf-8", newline="\n")
    return cells
