"""What the figures over a size have in common: axes, lines, marks of failure, names at the ends."""

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from convgrad.results.plots.labels import End, beside, shortened, width_inches
from convgrad.results.plots.style import GRID, MUTED, ROOF, SMALL, color, count, marker, text_color
from convgrad.results.plots.views import doubtful
from convgrad.results.schema import FAILURES

STRIP = 0.975
"""Height at which kernels that only failed are marked, as a part of the axes."""


class LinePanel:
    """One panel: a line a kernel over ``x``, on logarithmic axes.

    Parameters
    ----------
    axes : Axes
    panel : series.Panel
    value : str
        Column that is drawn; missing, predicted and above-roof values are not.
    number : callable
        Text of a value.
    low, high : str, optional
        Columns of the band.
    """

    def __init__(self, axes, panel, value, number, low=None, high=None):
        self.axes, self.panel = axes, panel
        self.value, self.low, self.high = value, low, high
        self.number = number
        cells = panel.cells
        self.drawn = measured(cells, value)
        self.failed = cells[cells.status.isin(FAILURES)]
        self.texts = end_texts(cells)
        self.ends = {}
        """Last point of each kernel's line."""

    def prepare(self, *more, y_label=""):
        """Set scales and limits so that all values fit; ``more`` are values drawn besides."""
        values = np.concatenate([self.drawn[self.value], *(np.ravel(m) for m in more)])
        values = values[np.isfinite(values) & (values > 0)]
        low, high = (values.min(), values.max()) if values.size else (1.0, 10.0)
        room = max(np.log10(high / low), 0.3)
        above = 0.16 if len(self.failed) else 0.06
        self.y_range = np.log10(low) - 0.1 * room, np.log10(high) + above * room
        xs = self.panel.cells.x[self.panel.cells.x > 0].unique()
        left, right = (xs.min(), xs.max()) if xs.size else (1.0, 10.0)
        margin = 0.04 * np.log10(right / left) if right > left else 0.3
        self.x_range = np.log10(left) - margin, np.log10(right) + margin
        axes = self.axes
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(*(10**v for v in self.x_range))
        axes.set_ylim(*(10**v for v in self.y_range))
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.tick_params(length=2.5)
        axes.set_xlabel(self.panel.x_label, fontsize=SMALL, color=MUTED, labelpad=2)
        axes.text(0, 1.02, y_label, transform=axes.transAxes, fontsize=SMALL, color=MUTED)
        self._ticks(sorted(xs))

    def line(self, kernel, cells, strong=False, dashed=False, value=None):
        """Draw one kernel's line, its band, and hollow marks where a cell is in doubt."""
        value = value or self.value
        cells = cells[cells[value].notna()].sort_values("x")
        family = cells.family.iloc[0]
        x, y = cells.x.to_numpy(), cells[value].to_numpy()
        style = {"color": color(family), "linewidth": 2.0 if strong else 1.0}
        if self.panel.joined:
            line = "--" if dashed else "-"
            self.axes.plot(x, y, line, **style, alpha=0.75 if dashed else 1, zorder=3 + strong)
            if self.low and not dashed:
                self._band(
                    x, cells[self.low].to_numpy(), cells[self.high].to_numpy(), color(family)
                )
        if not dashed:
            hollow = doubtful(cells["flags"]).to_numpy()
            for some, face in ((~hollow, color(family)), (hollow, "white")):
                if not some.any():
                    continue
                self.axes.plot(
                    x[some],
                    y[some],
                    marker(family),
                    color=color(family),
                    markerfacecolor=face,
                    markersize=4.5 if strong else 3.5,
                    markeredgewidth=0.9,
                    zorder=5 + strong,
                )
        if not dashed or kernel not in self.ends:
            self.ends[kernel] = x[-1], y[-1], color(family), text_color(family), strong

    def roof(self, x, y):
        """Draw the machine's limit in grey, named like a kernel."""
        known = np.isfinite(y)
        if known.any():
            x, y = x[known], y[known]
            mark = "-" if len(x) > 1 and self.panel.joined else "_"
            self.axes.plot(x, y, mark, color=ROOF, linewidth=2.5, markersize=9, zorder=2)
            self.ends["machine's roof"] = x[-1], y[-1], ROOF, MUTED, False

    def crosses(self):
        """Mark the cells that failed: beside the kernel's line, or on top if it has none."""
        for kernel, cells in self.failed.groupby("kernel", sort=False):
            line = self.drawn[self.drawn.kernel == kernel]
            for cell in cells.itertuples():
                ink = color(cell.family)
                if len(line):
                    near = line.loc[(np.log(line.x) - np.log(cell.x)).abs().idxmin()]
                    y = near[self.value]
                    self.axes.plot([near.x, cell.x], [y, y], ":", color=ink, linewidth=0.9)
                else:
                    y = 10 ** np.interp(STRIP, (0, 1), self.y_range)
                self.axes.plot(
                    cell.x, y, "x", color=ink, markersize=6, markeredgewidth=1.8, zorder=8
                )
                if kernel not in self.ends or cell.x > self.ends[kernel][0]:
                    strong = kernel in self.ends and self.ends[kernel][-1]
                    self.ends[kernel] = cell.x, y, ink, text_color(cell.family), strong

    def names(self, texts=None):
        """Write each kernel's name at the end of its line."""
        texts = {**{name: shortened(name) for name in self.ends}, **self.texts, **(texts or {})}
        beside(
            self.axes,
            [
                End(
                    texts[name],
                    float(np.interp(np.log10(x), self.x_range, (0, 1))),
                    self._height(y),
                    *rest,
                )
                for name, (x, y, *rest) in self.ends.items()
            ],
        )

    def rows(self, name):
        """What was drawn, for the CSV beside the figure."""
        cells = self.panel.cells
        columns = [
            "kernel",
            "family",
            "case",
            "x",
            self.value,
            self.low,
            self.high,
            "status",
            "flags",
        ]
        table = cells[[column for column in columns if column]]
        return table.assign(panel=name, x_is=self.panel.x_label)[["panel", "x_is", *table.columns]]

    def _band(self, x, low, high, ink):
        points = np.log10(high / low) / np.diff(self.y_range) * self._inches() * 72
        if np.nanmax(points, initial=0) > 1:  # else it is hidden by the line itself
            self.axes.fill_between(x, low, high, color=ink, alpha=0.22, linewidth=0)

    def _height(self, y):
        return float(np.interp(np.log10(y), self.y_range, (0, 1)))

    def _inches(self):
        return self.axes.get_position().height * self.axes.figure.get_figheight()

    def _ticks(self, xs):
        """Ticks where there are cases, as far as their texts do not touch; round ones for y."""
        kept, last = [], -np.inf
        for x in xs:
            place = np.interp(np.log10(x), self.x_range, (0, 1))
            if place - last > (0.05 if self.panel.places else 0.15):
                kept.append(x)
                last = place
        axes = self.axes
        axes.xaxis.set_major_locator(FixedLocator(kept))
        texts = {10.0**i: text for i, text in enumerate(self.panel.places)}
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: texts.get(v, count(v))))
        axes.xaxis.set_minor_locator(NullLocator())
        decades = self.y_range[1] - self.y_range[0]
        subs = (1.0,) if decades > 2.5 else (1.0, 3.0) if decades > 1.4 else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=9))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: self.number(v)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())


def drawable(cells, value):
    """Cells that have the value, and whose measurement may be believed."""
    impossible = cells["flags"].str.contains("above-roof", regex=False)
    return cells[(cells[value] > 0) & ~impossible]


def measured(cells, value):
    """Those of them that are no predictions."""
    cells = drawable(cells, value)
    return cells[~cells["flags"].str.contains("extrapolated", regex=False)]


def leaders(cells, value, best=min):
    """Kernels that have the best value at some case: they are drawn stronger."""
    if cells.empty:
        return set()
    rows = cells.groupby("case", sort=False)[value]
    return set(cells.loc[rows.idxmin() if best is min else rows.idxmax(), "kernel"])


def end_texts(cells):
    """Name at the end of each kernel's line, and its status if it failed there."""
    tried = cells[cells.median_s.notna() | cells.status.isin(FAILURES)].sort_values("x")
    last = tried.drop_duplicates("kernel", keep="last")
    return {
        kernel: f"{shortened(kernel)}: {status}" if status in FAILURES else shortened(kernel)
        for kernel, status in zip(last.kernel, last.status)
    }


def room(panels, behind=""):
    """Inches for the names beside any of these panels, and height for as many of them.

    ``behind`` stands behind the name of a baseline.
    """
    texts = [end_texts(panel.cells) for panel in panels]
    widest = max(width_inches([text + behind for text in some.values()], SMALL) for some in texts)
    return 0.3 + max(1.08 * widest, 0.8), max(2.3, 1.25 * SMALL / 72 * max(map(len, texts)))
