"""A comparison of two runs for readers: its numbers as words, and a self-contained page."""

from html import escape
from importlib.resources import files

import pandas as pd

from convgrad.results.compare import left_out
from convgrad.results.plots.style import seconds
from convgrad.results.schema import CACHES, CALLS


def readable(table):
    """Write the cells of a comparison that have a verdict as text.

    Parameters
    ----------
    table : DataFrame
        As `compare.compare` gives it.

    Returns
    -------
    DataFrame
        operation, case, kernel, threads, A, B, B/A with its interval, and verdict.
    """
    cells = table[table.verdict != ""]
    how = [
        (f", {cache} cache" if cache != CACHES[0] else "") + (f", {call}" * (call != CALLS[0]))
        for cache, call in zip(cells.cache, cells.call)
    ]
    return pd.DataFrame(
        {
            "operation": cells.operation,
            "case": cells.case + how,
            "kernel": cells.kernel,
            "threads": cells.threads.astype(str),
            "A": cells.a_s.map(seconds),
            "B": cells.b_s.map(seconds),
            "B/A": [_factor(row) for row in cells.itertuples()],
            "verdict": cells.verdict,
        },
        dtype=str,
    )


def _factor(row):
    reach = f" ({row.low:.3f} to {row.high:.3f})" if row.low == row.low else ""
    return f"{row.ratio:.3f}{reach}"


def render(a, b, table, differences=()):
    """Return the whole page.

    Parameters
    ----------
    a, b : store.Run
    table : DataFrame
        As `compare.compare` gives it.
    differences : sequence of str
        What else differs between the runs, as `compare.comparable` says it.
    """
    css = files("convgrad.results").joinpath("report.css").read_text(encoding="utf-8")
    notes = [f"A: {a.path}", f"B: {b.path}", *differences, left_out(table)]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>convgrad: two runs</title>\n<style>{css}</style>\n</head>\n<body>",
            "<header><h1>What became faster or slower?</h1>",
            *(f"<p>{escape(note)}</p>" for note in notes if note),
            '</header>\n<main class="wide">',
            readable(table).to_html(index=False, border=0),
            "</main>\n</body>\n</html>\n",
        ]
    )
