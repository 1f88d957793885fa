"""Errors on held-out data with their bands, and which candidates they speak for."""

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from convgrad.results.plots import style


def chosen(table):
    """Rows of least error and, where it is another one, of the simplest within one error of it."""
    rows = [table[table.chosen == what] for what in ("least", "one standard error")]
    return [row.iloc[0] for row in rows if len(row)]


def curve(axes, x, table):
    """Draw errors, a band of one standard error, a mark at the least and a ring at the simplest."""
    ink = style.color("convolution")
    low, high = table.error - table.standard_error, table.error + table.standard_error
    axes.fill_between(x, low, high, color=ink, alpha=0.18, linewidth=0)
    axes.plot(x, table.error, color=ink, linewidth=1.5)
    rows = chosen(table)
    for row, face in zip(rows, (ink, "white")):
        place = x[row.name]
        axes.plot(place, row.error, "o", color=ink, markerfacecolor=face, markersize=7, zorder=5)
        axes.axvline(place, color=style.MUTED, linewidth=0.7, linestyle=":", zorder=1)


def log_axis(axes, values, label):
    """Make x a logarithmic axis that falls: what is simple stands on the left."""
    axes.set_xscale("log")
    axes.set_xlim(values.max(), values.min())
    axes.xaxis.set_major_locator(LogLocator(numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.count(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color=style.GRID, linewidth=0.6)
    axes.tick_params(length=2.5)
    axes.set_xlabel(label, fontsize=style.SMALL, color=style.MUTED, labelpad=2)
