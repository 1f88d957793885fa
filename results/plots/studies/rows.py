"""Models one below the other: what each has learned and what it costs, side by side."""

import numpy as np

from convgrad.results.plots import style
from convgrad.results.plots.figure import Grid
from convgrad.results.plots.labels import width_inches
from convgrad.results.plots.studies.costs import (
    ACCURACY,
    FILE,
    MEMORY,
    PARAMETERS,
    TIME,
    accuracy_axis,
    cost_axis,
    known,
)

ROW = 0.3
_MARKS, _NUMBERS, _APART = 0.95, 0.62, 0.25
"""Inches that marks and numbers of a column take, and between two columns."""


def draw(cells, picture, folder):
    """Draw a row a model, in the order of the cells; a column accuracy, and one each cost."""
    columns = [ACCURACY, *known(cells, (PARAMETERS, TIME, MEMORY, FILE))]
    whole = len(columns) * (_MARKS + _NUMBERS + _APART) - _NUMBERS - _APART
    grid = Grid(
        1,
        right=0.1 + _NUMBERS,
        plot_height=ROW * len(cells),
        left=0.35 + width_inches(cells.model, style.TEXT),
        plot_width=whole,
        top=0.5,
    )
    frame = grid.add()
    frame.axis("off")
    for number, column in enumerate(columns):
        place = number * (_MARKS + _NUMBERS + _APART)
        axes = frame.inset_axes((place / whole, 0, _MARKS / whole, 1))
        _column(axes, column, cells)
        if column is ACCURACY:
            _names(axes, cells)
    kept = ["model", "family", "seeds", "validation_accuracy", "parameters", "flops"]
    kept += [name for one in columns for name in one.columns]
    return grid.finish(picture, cells[kept], folder)


def largest_first(cells, picture, folder):
    """Draw them with the most parameters on top."""
    order = cells.sort_values("stored_parameters", ascending=False, kind="stable")
    return draw(order.reset_index(drop=True), picture, folder)


def _column(axes, column, cells):
    if column is ACCURACY:
        accuracy_axis(axes.xaxis, cells)
        best = cells[column.column].max()
    else:
        ends = cells[list(column.columns)]
        ends = np.log10(ends.where(ends > 0))  # memory below a page is none
        low, high = np.nanmin(ends), np.nanmax(ends)
        margin = 0.06 * max(high - low, 0.5)
        cost_axis(axes.xaxis, column, 10 ** (low - margin), 10 ** (high + margin))
        best = cells[column.column].min()
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(length=0, labelbottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.6)
    above = {"transform": axes.transAxes, "va": "bottom"}
    inch = 1 / (ROW * len(cells))
    axes.text(0, 1 + 0.2 * inch, column.title, fontsize=style.TEXT, weight="bold", **above)
    axes.text(
        *(0, 1 + 0.05 * inch, column.meaning),
        **{"fontsize": style.SMALL - 1, "color": style.MUTED, **above},
    )
    for place, cell in enumerate(cells.to_dict("records")):
        axes.axhline(place, color=style.GRID, linewidth=0.6, zorder=1)
        if not cell[column.column] > 0:
            continue
        ink = style.color(cell["family"])
        if column.low:
            interval = cell[column.low], cell[column.high]
            axes.plot(interval, [place, place], color=ink, linewidth=1.4, zorder=3)
        mark = style.marker(cell["family"])
        axes.plot(cell[column.column], place, mark, color=ink, markersize=6, zorder=4)
        axes.text(
            1 + _NUMBERS / _MARKS,
            place,
            column.text(cell[column.column]),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center_baseline",
            fontsize=style.SMALL,
            weight="bold" if cell[column.column] == best else "normal",
        )


def _names(axes, cells):
    chosen = cells.validation_accuracy.idxmax()
    for place, cell in enumerate(cells.itertuples()):
        axes.text(
            -0.1 / _MARKS,
            place,
            cell.model,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center_baseline",
            color=style.text_color(cell.family),
            weight="bold" if cell.Index == chosen else "normal",
        )
