"""Convergence: the distance to the minimum against iterations, and against seconds."""

import numpy as np

from convgrad.results.plots import style
from convgrad.results.plots.cloud import Cloud
from convgrad.results.plots.figure import Grid
from convgrad.results.plots.labels import End, beside, shortened, width_inches

WIDTH, HEIGHT = 3.6, 3.0
_INKS = ("#0072B2", "#D55E00", "#009E73", "#7A3E9D")
_TITLES = {"fit_linear": "Linear model of diabetes", "fit_filter": "Filter of a cell's voltage"}
_FLOOR = 1e-16
"""Nothing nearer to the minimum can be told from it."""
_THERE, _ARRIVED = 1e-8, 3
"""Where a series comes so near, only rounding is left within so many times its least error."""


def draw(table, picture, folder):
    """Draw two panels an operation: settings of one kernel, then all kernels at the first."""
    table = table.assign(error=table.error.clip(lower=_FLOOR), bound=table.bound.clip(lower=_FLOOR))
    table["setting"] = [_setting(row) for row in table.itertuples()]
    whole, table = table, table[_on_the_way(table)]
    names = [*table.setting, *map(shortened, table.kernel)]
    right = 0.35 + 1.05 * width_inches(names, style.SMALL)
    parts = list(table.groupby("operation", sort=False))
    grid = Grid(2 * len(parts), right, HEIGHT, plot_width=WIDTH, top=0.7)
    for operation, own in parts:
        example = own.groupby("kernel", sort=False).setting.nunique().idxmax()
        first = own[own.setting == own.setting.iloc[0]]
        title = _TITLES.get(operation, operation)
        axes = grid.add(f"{title}: iterations", f"kernel {example}")
        _settings(axes, own[own.kernel == example])
        axes = grid.add(f"{title}: time", f"all kernels, {own.setting.iloc[0]}")
        _kernels(axes, first)
    picture.caption += " Time: the shortest of three calls, with all that a kernel prepares."
    return grid.finish(picture, whole.drop(columns="setting"), folder)


def _on_the_way(table):
    """Which points come before the minimum, but for rounding, and the first that is there."""
    series = [table[name] for name in ("operation", "kernel", "setting")]
    least = table.error.groupby(series).transform("min")
    arrived = (least < _THERE) & (table.error <= _ARRIVED * least)
    return arrived.groupby(series).cumsum() <= 1


def _setting(row):
    return f"κ = {style.number(row.condition)}, step {row.step}"


def _settings(axes, own):
    cloud = _cloud(axes, own, "iterations", style.count, "iterations")
    ends = []
    for (setting, series), ink in zip(own.groupby("setting", sort=False), _INKS):
        axes.plot(series.iterations, series.error, color=ink, linewidth=1.5, zorder=4)
        axes.plot(series.iterations, series.bound, "--", color=ink, linewidth=0.8, zorder=3)
        ends.append(End(setting, *_end(cloud, series, "iterations"), ink, ink))
    beside(axes, ends)


def _kernels(axes, own):
    cloud = _cloud(axes, own, "seconds", style.seconds, "time of a call")
    ends = []
    order = own.groupby("kernel").seconds.max().sort_values(ascending=False).index
    for kernel in order:  # the slowest first: lines to names do not cross
        series = own[own.kernel == kernel]
        family = series.family.iloc[0]
        ink = style.color(family)
        axes.plot(series.seconds, series.error, color=ink, linewidth=1, zorder=4)
        cloud.points(*_points(series), family, np.zeros(len(series), bool))
        x, y = _end(cloud, series, "seconds")
        ends.append(End(shortened(kernel), x, round(y, 2), ink, style.text_color(family)))
    beside(axes, ends)


def _cloud(axes, own, column, text, label):
    x = own[column]
    limits = (x.min(), x.max()), (own.error.min(), max(own.error.max(), 1.0))
    return Cloud(axes, *limits, text, _power, label, "distance to the minimum, of that at zero")


def _points(series):
    return series.seconds.to_numpy(), series.error.to_numpy()


def _end(cloud, series, column):
    last = series.loc[series[column].idxmax()]
    return cloud.place(last[column], last.error)


def _power(value):
    return "1" if value == 1 else f"{value:.0e}".replace("e-0", "e-")
