"""What data are called, and names of models at their marks: left of a front there is room."""

import numpy as np

from convgrad.results.plots import style
from convgrad.results.plots.labels import width_inches
from convgrad.results.plots.studies.costs import logit

TASKS = {
    "mnist": "handwritten digits, 28 x 28",
    "digits": "handwritten digits, 8 x 8",
    "vowels": "speakers, by two vowels",
    "languages": "languages, by 40 characters",
}
"""What is to be told apart in each data set."""

_ROOM = 0.08
"""Inches between a mark and its name, and from the middle of a mark to its end."""
_LINE = 1.3 * style.SMALL / 72
"""Inches of a line of text."""


def apart(cells, axes):
    """Those of the models whose names touch neither each other nor another mark.

    Parameters
    ----------
    cells : DataFrame
    axes : Axes
        Limits of accuracy are set.

    Returns
    -------
    DataFrame
        The most accurate first, which is among them in any case.
    """
    low, high = logit(np.array(axes.get_ylim()))
    inches = axes.get_position().height * axes.figure.get_figheight() / (high - low)
    order = cells.sort_values("accuracy", ascending=False)
    heights = inches * logit(order.accuracy.to_numpy())
    kept, last = [], np.inf
    for place, (name, height) in enumerate(zip(order.model, heights)):
        free = height - heights[place + 1] if place + 1 < len(heights) else np.inf
        if not kept or (last - height >= _LINE * len(_lines(name)) and free >= _ROOM):
            kept.append(place)
            last = height
    return order.iloc[kept]


def room(column, low, high, named, axes):
    """Ends of a logarithmic axis from ``low`` to ``high`` on which names fit, left of the marks."""
    inches = axes.get_position().width * axes.figure.get_figwidth()
    low, high = np.log10(low), np.log10(high)
    margin = 0.04 * max(high - low, 0.5)
    left, right = low - margin, high + margin
    for model, place in zip(named.model, np.log10(named[column])):
        part = (width_inches(_lines(model), style.SMALL) + 2 * _ROOM) / inches
        left = min(left, (place - part * right) / (1 - part))
    return 10**left, 10**right


def write(column, named, axes):
    """Write the names of models, each at its mark or at the left end of its interval."""
    for cell in named.to_dict("records"):
        axes.annotate(
            "\n".join(_lines(cell["model"])),
            (cell[column], cell["accuracy"]),
            xytext=(-72 * _ROOM, 1),
            textcoords="offset points",
            ha="right",
            va="bottom",
            linespacing=1,
            fontsize=style.SMALL,
            color=style.text_color(cell["family"]),
            zorder=9,
        )


def _lines(name):
    """A name in two lines where it says what was made of a model."""
    model, comma, way = name.partition(", ")
    return [model + comma.strip(), way] if way else [model]
