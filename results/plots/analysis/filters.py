"""The size of a filter by validation: the error on later times, and the filters themselves."""

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from convgrad.results.plots import style
from convgrad.results.plots.analysis.marks import chosen, curve
from convgrad.results.plots.figure import Grid

WIDTH, HEIGHT = 3.6, 2.6


def draw(table, picture, folder):
    """Draw errors over sizes, and the taps of the filters that are chosen."""
    grid = Grid(2, 0.3, HEIGHT, plot_width=WIDTH, top=0.7)
    axes = grid.add("Error on later times", "band: ± its standard error over blocks of time")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(table.taps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    curve(axes, table.taps, table)
    _looks(axes, "taps", "part of the changes that is not predicted")
    rows = chosen(table)
    axes = grid.add("Filters", " and ".join(f"{row.taps} taps" for row in rows))
    axes.axhline(0, color=style.MUTED, linewidth=0.6)
    ink = style.color("convolution")
    for row, face in zip(rows, (ink, "white")):
        taps = np.array(row["filter"].split(), float)
        axes.plot(range(len(taps)), taps, color=ink, linewidth=0.8, alpha=0.6)
        axes.plot(*(range(len(taps)), taps, "o"), color=ink, markerfacecolor=face, markersize=4.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _looks(axes, "moments before", "weight")
    return grid.finish(picture, table, folder)


def _looks(axes, x_label, y_label):
    axes.grid(color=style.GRID, linewidth=0.6)
    axes.tick_params(length=2.5)
    looks = {"fontsize": style.SMALL, "color": style.MUTED}
    axes.set_xlabel(x_label, labelpad=2, **looks)
    axes.text(0, 1.02, y_label, transform=axes.transAxes, **looks)
