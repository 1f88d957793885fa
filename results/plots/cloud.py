"""Points on two logarithmic axes, coloured and marked by family: what no single size orders."""

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from convgrad.results.plots.labels import End, beside
from convgrad.results.plots.style import GRID, MUTED, SMALL, color, marker, text_color


class Cloud:
    """One panel of points; limits are fixed first, as lines and names depend on them.

    Parameters
    ----------
    axes : Axes
    x_range, y_range : tuple of float
        Lowest and highest value; a margin is added.
    x_text, y_text : callable
        Text of a value.
    """

    def __init__(self, axes, x_range, y_range, x_text, y_text, x_label, y_label):
        self.axes = axes
        axes.set_xscale("log")
        axes.set_yscale("log")
        self.x_range, self.y_range = (_widened(ends) for ends in (x_range, y_range))
        axes.set_xlim(*(10**v for v in self.x_range))
        axes.set_ylim(*(10**v for v in self.y_range))
        axes.grid(color=GRID, linewidth=0.6)
        axes.tick_params(length=2.5)
        axes.set_xlabel(x_label, fontsize=SMALL, color=MUTED, labelpad=2)
        axes.text(0, 1.02, y_label, transform=axes.transAxes, fontsize=SMALL, color=MUTED)
        for axis, text, (low, high) in (
            (axes.xaxis, x_text, self.x_range),
            (axes.yaxis, y_text, self.y_range),
        ):
            subs = (1.0,) if high - low > 2.5 else (1.0, 3.0) if high - low > 1.4 else (1, 2, 5)
            axis.set_major_locator(LogLocator(subs=subs, numticks=9))
            axis.set_major_formatter(FuncFormatter(lambda v, _, text=text: text(v)))
            axis.set_minor_locator(NullLocator())

    def points(self, x, y, family, hollow, strong=False):
        """Draw points of one family; ``hollow`` says of each whether it is filled with white."""
        ink = color(family)
        for some, face in ((~hollow, ink), (hollow, "white")):
            self.axes.plot(
                x[some],
                y[some],
                marker(family),
                color=ink,
                markerfacecolor=face,
                markersize=5.5 if strong else 3.5,
                markeredgewidth=0.8,
                alpha=1 if strong else 0.7,
                zorder=5 + strong,
            )

    def names(self, named):
        """Write names beside the axes: (text, x, y, family, strong) each."""
        beside(
            self.axes,
            [
                End(text, *self.place(x, y), color(family), text_color(family), strong)
                for text, x, y, family, strong in named
            ],
        )

    def place(self, x, y):
        """Where a point lies, as parts of the axes."""
        return tuple(
            float(np.interp(np.log10(value), ends, (0, 1)))
            for value, ends in ((x, self.x_range), (y, self.y_range))
        )


def _widened(ends):
    low, high = np.log10(ends)
    margin = 0.04 * max(high - low, 0.5)
    return low - margin, high + margin
