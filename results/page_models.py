"""The table of trained models on the page: what each has learned, and what it costs."""

from html import escape

from convgrad.results.page_tables import table
from convgrad.results.plots import style

_HEADS = [
    *("model", "right answers, %", "on validation", "gain", "over", "stored numbers"),
    *("time", "memory", "file", "training"),
]
_NUMBERS = {1, 2, 3, 5, 6, 7, 8, 9}


def models_table(cells):
    """Rows of all models that have learned anything, under the case they were timed at."""
    cells = cells[cells.accuracy.notna()]
    rows = []
    for case, own in cells.groupby("case", sort=False):
        rows += [case, *(_row(model) for model in own.itertuples())]
    body = table(_HEADS, rows, _NUMBERS)
    return f"<details><summary>All {len(cells)} models</summary>{body}</details>"


def _row(model):
    return [
        escape(model.model),
        _points(model.accuracy, model.accuracy_low, model.accuracy_high),
        _points(model.validation_accuracy),
        _points(model.gain, model.gain_low, model.gain_high, sign="+"),
        escape(model.compared_to),
        style.count(model.stored_parameters),
        style.seconds(model.median_s),
        style.bytes_text(model.peak_bytes),
        style.bytes_text(model.file_bytes),
        style.seconds(model.train_s),
    ]


def _points(share, low=float("nan"), high=float("nan"), sign=""):
    """A share as points of a hundred, with its interval where there is one."""
    if share != share:
        return ""
    between = f" <small>({100 * low:{sign}.1f} … {100 * high:{sign}.1f})</small>"
    return f"{100 * share:{sign}.1f}" + (between if low == low else "")
