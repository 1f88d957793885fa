"""The figure that answers at a glance: who wins at each size of each operation, by how much."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convgrad.results.plots import style
from convgrad.results.plots.figure import Grid, Picture
from convgrad.results.plots.labels import shortened, width_inches
from convgrad.results.plots.series import constant, short_labels, thin
from convgrad.results.schema import size_columns
from convgrad.results.summary import winners

MOST_ROWS = 12
ROW = 0.37
"""Inches a row: a line of text over a bar."""

_PLOT_WIDTH = 2.5
LONG = 32
"""Letters beyond which the name of a size leaves out what is usual."""


def overview(cells, name, title, caption, folder):
    """Draw a block an operation: a bar a case, as long as the winner is faster than the baseline.

    Parameters
    ----------
    cells : DataFrame
        The main view: one dtype and thread count, all operations.
    name, title, caption : str
    folder : Path

    Returns
    -------
    Picture or None
        None if nothing was measured.
    """
    table = winners(cells)
    if table.empty:
        return None
    blocks = [
        _Block.of(operation, won, cells[cells.operation == operation])
        for operation, won in table.groupby("operation", sort=False)
    ]
    most = max(len(block.rows) for block in blocks)
    names = 1.15 * width_inches(map(shortened, table.winner), style.SMALL)
    right = 1.9 + names
    grid = Grid(
        len(blocks),
        right=right,
        plot_height=ROW * max(most, 3),
        left=0.15,
        plot_width=_PLOT_WIDTH,
        top=0.6,
    )
    for block in blocks:
        axes = grid.add(block.operation, block.note)
        _draw(axes, block, most, 0.9 * (_PLOT_WIDTH + right), names)
    reading = "Bar: the fastest against the baseline. Tick: the next. Hollow: tie, or not sure (?)."
    return grid.finish(Picture(name, title, reading, caption), table, folder)


@dataclass(frozen=True)
class _Block:
    operation: str
    note: str
    rows: pd.DataFrame
    labels: list

    @classmethod
    def of(cls, operation, won, cells):
        """Choose the cases of one operation that are drawn, smallest work first, and name them."""
        won = won.sort_values("flops", kind="stable")
        rows = won.iloc[thin(range(len(won)), MOST_ROWS)]
        cases = cells.drop_duplicates("case").set_index("case")
        names = [n for n in [*size_columns(cells), "data"] if cases[n].astype(str).nunique() > 1]
        labels, usual = short_labels(cases[names], LONG)
        notes = [
            f"{len(rows)} of {len(won)} sizes" if len(rows) < len(won) else "",
            f"unless said: {usual}" if usual else "",
            f"throughout: {common}" if (common := constant(cells)) else "",
        ]
        chosen = [labels[case] for case in rows.case]
        return cls(operation, "; ".join(filter(None, notes)), rows, chosen)


def _draw(axes, block, most, room, names):
    factors = block.rows.factor_over_baseline
    top = max(4.0, np.nanmax([1.0, *factors]) * 1.1)
    axes.set_xscale("log")
    axes.set_xlim(np.nanmin([1.0, *factors]) * 0.99, top)
    axes.set_ylim(most - 0.35, -0.75)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    decades = [10**e for e in range(7) if 10**e <= top]
    ticks = decades if len(decades) > 2 else [v for v in (1, 2, 5, 10, 20, 50) if v <= top]
    axes.set_xticks(ticks, [style.factor(v) for v in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", color=style.GRID, linewidth=0.6)
    for place, (row, label) in enumerate(zip(block.rows.itertuples(index=False), block.labels)):
        _bar(axes, place, row)
        _say(axes, place, row, _fitting(label, room), names)


def _bar(axes, place, row):
    speed = row.factor_over_baseline
    if not np.isfinite(speed):
        return
    ink = style.color(row.family)
    face = ink if row.clear or not row.runner_up else "white"
    axes.barh(place, speed - 1, 0.36, 1, color=face, edgecolor=ink, linewidth=1.2, zorder=3)
    if row.runner_up and row.runner_up != row.baseline:
        second = [speed / row.factor_over_runner_up] * 2
        axes.plot(second, [place - 0.24, place + 0.24], color=style.INK, linewidth=1.6, zorder=6)


def _say(axes, place, row, label, names):
    """Write the case above the bar, the winner's name and, ``names`` inches on, its lead."""
    inch = 1 / (axes.get_position().width * axes.figure.get_figwidth())
    edge = axes.get_yaxis_transform()
    text = {"transform": edge, "fontsize": style.SMALL, "va": "center_baseline", "zorder": 7}
    axes.text(0, place - 0.44, label.replace("$", r"\$"), **text)
    axes.plot(
        1 + 0.12 * inch,
        place,
        style.marker(row.family),
        color=style.color(row.family),
        markersize=5,
        transform=edge,
        clip_on=False,
    )
    name = shortened(row.winner).replace("$", r"\$")
    ink = style.text_color(row.family)
    axes.text(1 + 0.24 * inch, place, name, color=ink, weight="bold", **text)
    axes.text(1 + (0.34 + names) * inch, place, _lead(row), color=style.MUTED, **text)


def _fitting(label, room):
    """Cut a label that is longer than ``room`` inches: the next panel begins there."""
    while width_inches([label], style.SMALL) > room:
        label = label.rstrip("…")[:-1] + "…"
    return label


def _lead(row):
    if row.winner == row.baseline:
        base = "baseline"
    elif np.isfinite(row.factor_over_baseline):
        base = style.factor(row.factor_over_baseline)
    else:
        base = "no baseline"
    if not row.runner_up:
        return f"{base}, alone"
    if row.verdict == "same":
        return f"{base}, tie"
    sure = "" if row.clear else " ?"
    return f"{base}, next {style.factor(row.factor_over_runner_up)}{sure}"
