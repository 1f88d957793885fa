"""What a model costs, and how accurate it is: the axes of all figures of models."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from convgrad.results.plots import style


class Cost(NamedTuple):
    """A column, what it is called, and the columns of its interval."""

    column: str
    title: str
    meaning: str
    text: Callable
    low: str = ""
    high: str = ""

    @property
    def columns(self):
        """All columns that it has."""
        return tuple(name for name in (self.column, self.low, self.high) if name)


PARAMETERS = Cost("stored_parameters", "Stored numbers", "parameters, zeros left out", style.count)
TIME = Cost("median_s", "Time", "of one prediction", style.seconds, "low_s", "high_s")
MEMORY = Cost("peak_bytes", "Memory", "of a prediction, with the model", style.bytes_text)
ACCURACY = Cost(
    "accuracy",
    "Right answers",
    "on test data",
    lambda share: f"{100 * share:.1f} %",
    "accuracy_low",
    "accuracy_high",
)
FILE = Cost("file_bytes", "File", "of the model, on disk", style.bytes_text)

_STEPS = 0.1, 0.05, 0.01, 0.005, 0.001, 0.0005, 0.0001
"""Ticks of accuracy, the roundest first, until there are enough."""
_ENOUGH = 4
_APART = 0.085
"""Of ticks, as a part of the axis."""
_INSIDE = 5e-4
"""As near to none or all as accuracies are drawn: the scale has no end."""


def known(cells, costs):
    """Those of the costs that were measured of any cell."""
    return [cost for cost in costs if (cells[cost.column] > 0).any()]


def cost_axis(axis, cost, low, high):
    """Make an axis one of a cost, logarithmic, with ticks as text."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low, high)})
    decades = np.log10(high / low)
    subs = (1.0,) if decades > 2.5 else (1.0, 3.0) if decades > 1.4 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: cost.text(value)))
    axis.set_minor_locator(NullLocator())


def accuracy_axis(axis, cells, label=False):
    """Make an axis one of accuracy, on which 97 and 98 % lie as far apart as 50 and 60 %.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
    cells : DataFrame
        Their accuracies fit, and their intervals unless these reach much further.
    label : bool
        Whether to say above the axes what it is, and to leave room for names at the top.
    """
    middle = logit(cells.accuracy.to_numpy())
    reach = 0.5 * max(np.ptp(middle), 0.5)
    values = logit(cells[list(ACCURACY.columns)].to_numpy(float))
    values = values[np.isfinite(values)].clip(middle.min() - reach, middle.max() + reach)
    margin = 0.06 * max(np.ptp(values), 0.5)
    low, high = values.min() - margin, values.max() + (2 * margin if label else margin)
    ends = 1 / (1 + np.exp([-low, -high]))
    axis.axes.set(**{f"{axis.axis_name}scale": "logit", f"{axis.axis_name}lim": tuple(ends)})
    kept = []
    for step in _STEPS:
        if len(kept) >= _ENOUGH:
            break
        for tick in np.round(np.arange(1, round(1 / step)) * step, 4):
            place = (logit(tick) - low) / (high - low)
            if 0 <= place <= 1 and all(abs(place - other) > _APART for other, _ in kept):
                kept.append((place, tick))
    axis.set_major_locator(FixedLocator([tick for _, tick in kept]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    axis.set_minor_locator(NullLocator())
    if label:
        text = f"{ACCURACY.title.lower()} {ACCURACY.meaning}"
        looks = {"fontsize": style.SMALL, "color": style.MUTED}
        axis.axes.text(0, 1.02, text, transform=axis.axes.transAxes, **looks)


def logit(share):
    """Height of an accuracy on its axis."""
    share = np.clip(share, _INSIDE, 1 - _INSIDE)
    return np.log(share / (1 - share))
