"""The best model for a limit: as the limit grows, which one is chosen, and what it is worth."""

import numpy as np
import pandas as pd

from convgrad.results.plots import style
from convgrad.results.plots.figure import Grid
from convgrad.results.plots.studies import names
from convgrad.results.plots.studies.costs import (
    FILE,
    PARAMETERS,
    TIME,
    accuracy_axis,
    cost_axis,
    known,
)
from convgrad.results.plots.studies.pareto import front, mark

WIDTH, HEIGHT = 3.2, 2.6


def draw(cells, picture, folder):
    """Draw a row of panels for each data set, one a limit; a cell is a model."""
    parts = []
    for data, own in cells.groupby("data", sort=False):
        costs = known(own, (PARAMETERS, TIME, FILE))
        steps_by = {cost: chosen(own, cost.high or cost.column) for cost in costs}
        parts += [(data, cost, steps_by) for cost in costs]
    grid = Grid(len(parts), 0.3, HEIGHT, plot_width=WIDTH, top=0.7)
    rows = []
    for data, cost, steps_by in parts:
        limit, steps = cost.high or cost.column, steps_by[cost]
        axes = grid.add(
            f"{names.TASKS.get(data, data)}: {cost.title.lower()}", f"{cost.meaning}, at most"
        )
        accuracy_axis(axes.yaxis, pd.concat(steps_by.values()), label=True)
        _panel(axes, cost, limit, steps)
        rows.append(
            steps.assign(limit_of=cost.column, limit=steps[limit])[
                ["data", "limit_of", "limit", "model", "family", *_ACCURACIES]
            ]
        )
    return grid.finish(picture, pd.concat(rows), folder)


_ACCURACIES = "validation_accuracy", "accuracy", "accuracy_low", "accuracy_high"


def chosen(cells, limit):
    """Models that are chosen as a limit grows: the best within it, by validation.

    Parameters
    ----------
    cells : DataFrame
    limit : str
        The column that is limited.

    Returns
    -------
    DataFrame
        Those cells, the tightest limit first.
    """
    order = cells[cells[limit] > 0].sort_values(
        [limit, "validation_accuracy"], ascending=[True, False], kind="stable"
    )
    before = order.validation_accuracy.cummax().shift(fill_value=-np.inf)
    return order[order.validation_accuracy > before]


def _panel(axes, cost, limit, steps):
    named = names.apart(steps[front(steps[limit], steps.accuracy)], axes)
    limits = names.room(limit, steps[limit].min(), 1.5 * steps[limit].max(), named, axes)
    cost_axis(axes.xaxis, cost, *limits)
    axes.grid(color=style.GRID, linewidth=0.6)
    axes.tick_params(length=2.5)
    axes.step(
        [*steps[limit], limits[1]],
        [*steps.accuracy, steps.accuracy.iloc[-1]],
        where="post",
        color=style.INK,
        linewidth=0.9,
        zorder=4,
    )
    at_limit = cost._replace(column=limit, low="", high="")
    for cell in steps.to_dict("records"):
        mark(axes, at_limit, cell, strong=True)
    names.write(limit, named, axes)
