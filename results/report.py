"""The report: tables, figures and one self-contained page, made from the raw facts of a run."""

from convgrad.results import page
from convgrad.results.against import against
from convgrad.results.aims import aims
from convgrad.results.findings import findings
from convgrad.results.learned import learned, with_models
from convgrad.results.ledger import ledger
from convgrad.results.plots import write_plots
from convgrad.results.samples_text import NAME, samples_text
from convgrad.results.summary import cells as summarise

COUNTS = (
    "threads",
    "parameters",
    "flops",
    "bytes",
    "footprint",
    "sample_count",
    "process_count",
    "peak_bytes",
    "workspace_bytes",
    "break_even_calls",
    "seeds",
    "stored_parameters",
    "file_bytes",
)
"""Columns written as whole numbers."""


def write_report(run):
    """Make ``cells.csv``, ``ledger.csv``, ``samples.txt``, ``plots/`` and ``report.html`` of a run.

    And ``aims.csv`` where it has aims. They are of whatever is there so far; the same raw facts
    give the same bytes.

    Parameters
    ----------
    run : store.Run

    Returns
    -------
    DataFrame
        The cells, as `summary.cells` gives them, with what their models have learned.
    """
    samples = run.samples()
    cells = summarise(samples, run.facts(), run.info)
    cells = with_models(cells, learned(run.path))
    _write_csv(cells.astype(dict.fromkeys(COUNTS, "Int64")), run.path / "cells.csv")
    _write_csv(ledger(cells).astype({"break_even_calls": "Int64"}), run.path / "ledger.csv")
    held = aims(samples, cells, run.info)
    if len(held):
        _write_csv(held, run.path / "aims.csv")
    versions = against(samples, cells)
    if len(versions):
        _write_csv(versions, run.path / "against.csv")
    _write_text(samples_text(samples, cells), run.path / NAME)
    folder = run.path / "plots"
    for old in folder.glob("*.svg"):  # of an earlier report, perhaps of cells that are no more
        for suffix in (".svg", ".png", ".csv"):
            old.with_suffix(suffix).unlink(missing_ok=True)
    pictures = write_plots(cells, run.info, folder, held, findings(run.path))
    _write_text(page.render(run.info, cells, pictures), run.path / "report.html")
    return cells


def _write_csv(table, path):
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.6g")


def _write_text(text, path):
    path.write_text(text, encoding="utf-8", newline="\n")
