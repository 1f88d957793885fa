"""What the terminal shows of models: what each costs, and what it buys in accuracy."""

from matplotlib.ticker import EngFormatter
from rich.table import Table

from convgrad.results.schema import MODELS

SECONDS, BYTES = (EngFormatter(unit=unit, places=1) for unit in "sB")


def model_table(title):
    """An empty table of models; `add_model` fills it."""
    table = Table(title=title, title_justify="left")
    table.add_column("model", overflow="fold")
    for column in ("accuracy %", "gain", "a call", "file", "parameters"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def add_model(table, row):
    """Add one row of a table of cells; a gain is in percentage points."""
    table.add_row(
        row.model,
        _points(row.accuracy, row.accuracy_low, row.accuracy_high, ""),
        _points(row.gain, row.gain_low, row.gain_high, "+"),
        SECONDS(row.median_s) if row.median_s == row.median_s else row.status,
        BYTES(row.file_bytes),
        f"{row.stored_parameters:,.0f}",
    )


def print_models(console, cells):
    """Print what the studies of a run have found, the most accurate model of each first."""
    models = cells[(cells.operation == MODELS) & cells.accuracy.notna()]
    if models.empty:  # then cells have no such sizes
        return
    for (study, data, batch), own in models.groupby(["study", "data", "batch"], sort=False):
        examples = f"{batch:.0f} example{'s' * (batch > 1)}"
        table = model_table(f"{study.replace('_', ' ')}, {data}: {examples} a call")
        for row in own.sort_values("accuracy", ascending=False).itertuples():
            add_model(table, row)
        console.print(table)


def _points(share, low, high, sign):
    """A share in percent, and half of its 95 % interval, where there is one."""
    if share != share:
        return ""
    spread = f" ± {50 * (high - low):.1f}" if high == high else ""
    return f"{100 * share:{sign}.1f}{spread}"
