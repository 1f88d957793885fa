"""Aims as a figure: what was found, as a part of what it is meant to be."""

from matplotlib.ticker import FuncFormatter, NullLocator

from convgrad.results.aims import ROOF
from convgrad.results.plots import style
from convgrad.results.plots.figure import BARE, Grid, Picture
from convgrad.results.plots.labels import width_inches

ROW = 0.22
_TICKS = 0.25, 0.5, 1, 2, 4, 8


def draw(held, name, title, caption, folder):
    """Draw a row an aim, dtype and number of threads; ``held`` is what `aims.aims` gives."""
    labels = [
        f"{row.aim}, {row.threads} threads".replace(", 1 threads", ", 1 thread")
        for row in held.itertuples()
    ]
    texts = [_text(row) for row in held.itertuples()]
    grid = Grid(
        1,
        right=0.3 + width_inches(texts, style.SMALL),
        plot_height=ROW * len(held) + 0.1,
        left=0.3 + width_inches(labels, style.SMALL),
        plot_width=3.2,
        top=BARE,
    )
    axes = grid.add()
    axes.set_xscale("log")
    axes.set_ylim(len(held) - 0.4, -0.6)
    axes.set_yticks(range(len(held)), labels)
    axes.tick_params(length=0, axis="y")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.6)
    axes.axvline(1, color=style.INK, linewidth=1)
    for place, (row, text) in enumerate(zip(held.itertuples(), texts)):
        floor = row.nowhere_below / row.must_be
        axes.vlines(floor, place - 0.5, place + 0.5, style.MUTED, linewidth=0.8, linestyle=":")
        axes.text(
            1.03,
            place,
            text,
            transform=axes.get_yaxis_transform(),
            fontsize=style.SMALL,
            va="center_baseline",
        )
        if not row.cases:
            continue
        found, least, low, high = (
            value / row.must_be for value in (row.found, row.least, row.low, row.high)
        )
        ink = style.INK if row.holds else style.MUTED
        axes.plot([least, found], [place, place], color=style.GRID, linewidth=2, zorder=1)
        axes.plot(least, place, "|", color=style.MUTED, markersize=7, zorder=2)
        if low == low:
            axes.plot([low, high], [place, place], color=ink, linewidth=1.5, zorder=3)
        face = ink if row.holds else "white"
        axes.plot(found, place, "o", color=ink, markerfacecolor=face, markersize=5, zorder=4)
    axes.margins(x=0.05)
    ends = axes.get_xlim()
    axes.set_xticks([tick for tick in _TICKS if ends[0] <= tick <= ends[1]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    reading = (
        "● found, as a part of the aim; filled where it holds  "
        "| the worst size, which may not stay below the dots."
    )
    return grid.finish(Picture(name, title, reading, caption), held, folder)


def _text(row):
    if not row.cases:
        return "not measured"
    if row.measure == ROOF:
        return f"{row.found:.0%} of the roof (aim {row.must_be:.0%})"
    return f"{style.factor(row.found)} (aim {row.must_be:.2g})"
