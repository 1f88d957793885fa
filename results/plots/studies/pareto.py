"""Accuracy against what it costs: all models of a study, and the best for each cost."""

import numpy as np
import pandas as pd

from convgrad.results.plots import style
from convgrad.results.plots.figure import Grid
from convgrad.results.plots.labels import End, beside, width_inches
from convgrad.results.plots.studies import names
from convgrad.results.plots.studies.costs import (
    ACCURACY,
    FILE,
    MEMORY,
    PARAMETERS,
    TIME,
    accuracy_axis,
    cost_axis,
    known,
    logit,
)

WIDTH, HEIGHT = 3.9, 3.3
_PALE = 0.4
_BESIDE = 1.2
"""Between the outermost marks and the ends of the axis, as a factor."""


def draw(cells, picture, folder):
    """Draw a panel a cost; a cell is a model."""
    costs = known(cells, (PARAMETERS, TIME, MEMORY, FILE))
    fronts = {cost: front(cells[cost.column], cells.accuracy) for cost in costs}
    low = outliers(cells.accuracy) & ~pd.concat(fronts, axis=1).any(axis=1)
    if low.any():
        told = [f"{name} ({ACCURACY.text(share)})" for name, share in _lowest(cells[low])]
        picture.caption += f" Too low to be shown: {', '.join(told)}."
    right = 0.35 + width_inches(cells.family, style.SMALL) * 1.05
    grid = Grid(len(costs), right, HEIGHT, plot_width=WIDTH, top=0.7)
    for cost, best in fronts.items():
        shown = (cells[cost.column] > 0) & ~low
        _panel(grid.add(cost.title, cost.meaning), cost, cells[shown], best[shown])
    columns = ["model", "family", "base", "accuracy", "accuracy_low", "accuracy_high"]
    columns += [name for cost in costs for name in cost.columns]
    best_for = {f"best_for_{cost.column}": best for cost, best in fronts.items()}
    return grid.finish(picture, cells[columns].assign(**best_for), folder)


def front(cost, accuracy):
    """Which models are the best at their cost: no cheaper one is as accurate (Pareto, 1896).

    Parameters
    ----------
    cost, accuracy : Series

    Returns
    -------
    Series of bool
        Of equals, the first counts; what lacks a cost is none of them.
    """
    table = pd.DataFrame({"cost": cost, "accuracy": accuracy}).dropna()
    order = table.sort_values(["cost", "accuracy"], ascending=[True, False], kind="stable")
    before = order.accuracy.cummax().shift(fill_value=-np.inf)
    return (order.accuracy > before).reindex(cost.index, fill_value=False)


def outliers(accuracy):
    """Which accuracies are far below the others, by the fence of Tukey (1977), on their axis."""
    heights = logit(accuracy)
    first, third = np.quantile(heights, (0.25, 0.75))
    return heights < first - 1.5 * (third - first)


def _lowest(cells):
    return cells.sort_values("accuracy")[["model", "accuracy"]].itertuples(index=False, name=None)


def _panel(axes, cost, cells, best):
    accuracy_axis(axes.yaxis, cells, label=True)
    named = names.apart(cells[best], axes)
    place = cost.column
    values = cells[cost.column]  # an interval may reach beyond, and is cut
    limits = names.room(place, values.min() / _BESIDE, values.max() * _BESIDE, named, axes)
    cost_axis(axes.xaxis, cost, *limits)
    axes.grid(color=style.GRID, linewidth=0.6)
    axes.tick_params(length=2.5)
    _origins(axes, cost, cells, best)
    steps = cells[best].sort_values(cost.column)
    axes.step(
        [*steps[cost.column], axes.get_xlim()[1]],
        [*steps.accuracy, steps.accuracy.iloc[-1]],
        where="post",
        color=style.INK,
        linewidth=0.9,
        zorder=4,
    )
    for cell, strong in zip(cells.to_dict("records"), best):
        mark(axes, cost, cell, strong)
    names.write(place, named, axes)
    _families(axes, cost, cells)


def mark(axes, cost, cell, strong):
    """Draw one model with its intervals, pale unless it is strong."""
    ink = style.color(cell["family"])
    looks = {"color": ink, "alpha": 1 if strong else _PALE, "zorder": 6 if strong else 3}
    width = 1.2 if strong else 0.7
    x, y = cell[cost.column], cell["accuracy"]
    axes.plot([x, x], [cell["accuracy_low"], cell["accuracy_high"]], linewidth=width, **looks)
    if cost.low:
        axes.plot([cell[cost.low], cell[cost.high]], [y, y], linewidth=width, **looks)
    size = 6.5 if strong else 5
    axes.plot(x, y, style.marker(cell["family"]), markersize=size, markeredgewidth=0, **looks)


def _origins(axes, cost, cells, best):
    """Thin lines to the best from the models that they were made of."""
    places = cells.set_index("model")[[cost.column, "accuracy"]]
    for cell in cells[best & cells.base.isin(places.index)].to_dict("records"):
        x, y = places.loc[cell["base"]]
        axes.plot(
            [x, cell[cost.column]],
            [y, cell["accuracy"]],
            color=style.ROOF,
            linewidth=0.6,
            zorder=2,
        )


def _families(axes, cost, cells):
    """Name each family beside the axes, with a line to that of its models which is nearest."""
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = []
    for family, own in cells.groupby("family", sort=False):
        last = own.loc[own[cost.column].idxmax()]
        place = to_axes.transform((last[cost.column], last.accuracy))
        ends.append(End(family, *place, style.color(family), style.text_color(family), True))
    beside(axes, ends)
