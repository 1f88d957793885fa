"""The figures of one operation over its sizes: time, memory, throughput, speed-up, efficiency."""

import itertools

import numpy as np
import pandas as pd

from convgrad.results.plots import series, style
from convgrad.results.plots.figure import Grid, Picture
from convgrad.results.plots.labels import shortened
from convgrad.results.plots.lines import LinePanel, drawable, leaders, measured, room

MOST_PANELS = 9
_IS_ONE = " = 1"
"""Behind the name of a baseline, where others are measured by it."""
_NAMED = 3
"""Baselines whose names find room above a figure."""
PAGE = 4096


def time(view, name, title, caption, folder):
    """Seconds a call against the parameter count, with the crossovers of the best."""

    def draw(lines):
        lines.prepare(lines.drawn.low_s, lines.drawn.high_s, y_label="time of a call")
        best = leaders(lines.drawn, "median_s")
        for kernel, cells in lines.drawn.groupby("kernel", sort=False):
            lines.line(kernel, cells, strong=kernel in best)
        for x, y in crossovers(lines.drawn) if lines.panel.joined else ():
            lines.axes.plot(x, y, "o", ms=9, mfc="none", mec=style.INK, mew=0.8, zorder=9)
            lines.axes.annotate(
                f"≈ {style.count(float(f'{x:.2g}'))}",
                (x, y),
                xytext=(0, -8),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=style.SMALL,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
                zorder=9,
            )
        lines.crosses()
        lines.names()

    reading = "Lower is faster. A ring marks where another kernel becomes the fastest."
    make = _maker("median_s", style.seconds, "low_s", "high_s")
    return _figure(
        series.by_parameters(view), make, draw, Picture(name, title, reading, caption), folder
    )


def memory(view, name, title, caption, folder):
    """Peak memory against the parameter count: measured solid, predicted dashed."""
    view = view.assign(
        peak_bytes=view.peak_bytes.clip(lower=PAGE),
        workspace_bytes=view.workspace_bytes.clip(lower=PAGE),
    )

    def draw(lines):
        predicted = drawable(lines.panel.cells, "workspace_bytes")
        lines.prepare(predicted.workspace_bytes, y_label="memory that a call allocates")
        for kernel, cells in predicted.groupby("kernel", sort=False):
            lines.line(kernel, cells, dashed=True, value="workspace_bytes")
        for kernel, cells in lines.drawn.groupby("kernel", sort=False):
            lines.line(kernel, cells)
        lines.names({kernel: shortened(kernel) for kernel in lines.ends})

    reading = "Lower is leaner. Solid: measured; dashed: predicted; at least a page (4.1 kB)."
    make = _maker("peak_bytes", style.bytes_text)
    return _figure(
        series.by_parameters(view), make, draw, Picture(name, title, reading, caption), folder
    )


def throughput(view, name, title, caption, folder):
    """Arithmetic a second against size, under the measured roof."""

    def draw(lines):
        roof = lines.panel.cells.drop_duplicates("x").sort_values("x")
        heights = roof.roof_gflops.to_numpy()
        lines.prepare(heights, y_label="GFLOP/s (direct count)")
        lines.roof(roof.x.to_numpy(), heights)
        best = leaders(lines.drawn, "gflops", best=max)
        for kernel, cells in lines.drawn.groupby("kernel", sort=False):
            lines.line(kernel, cells, strong=kernel in best)
        lines.crosses()
        lines.names()

    reading = "Higher is faster. What saves arithmetic (FFT) or runs on a GPU may pass the roof."
    make = _maker("gflops", style.number, "gflops_low", "gflops_high")
    view = view.assign(
        gflops_low=view.gflops * view.median_s / view.high_s,
        gflops_high=view.gflops * view.median_s / view.low_s,
    )
    return _figure(series.by_size(view), make, draw, Picture(name, title, reading, caption), folder)


def speedup(view, name, title, caption, folder):
    """How many times faster than the baseline, measured in the same rounds."""
    view = view.assign(speedup=view.speedup.where(~view.baseline | view.median_s.isna(), 1.0))

    def draw(lines):
        lines.prepare(
            lines.drawn.speedup_low, lines.drawn.speedup_high, [1.0], y_label="baseline ÷ kernel"
        )
        lines.axes.axhline(1, color=style.INK, linewidth=0.8, zorder=2)
        best = leaders(lines.drawn, "speedup", best=max)
        base = set(lines.drawn.kernel[lines.drawn.baseline])
        for kernel, cells in lines.drawn.groupby("kernel", sort=False):
            lines.line(kernel, cells, strong=kernel in best)
        lines.crosses()
        lines.names({kernel: kernel + _IS_ONE for kernel in base})

    baselines = list(dict.fromkeys(view.kernel[view.baseline])) or ["none in this run"]
    told = (
        f": {', '.join(baselines)}" if len(baselines) <= _NAMED else f" of a size, named{_IS_ONE}"
    )
    reading = f"Higher is faster. 1× is the baseline{told}."
    make = _maker("speedup", style.factor, "speedup_low", "speedup_high")
    picture = Picture(name, title, reading, caption)
    return _figure(series.by_parameters(view), make, draw, picture, folder, _IS_ONE)


def efficiency(view, name, title, caption, folder):
    """What share of its threads a kernel makes use of; ``view`` has a column that says it."""
    view = view[view.efficiency.notna()]
    if view.empty:
        return None

    def draw(lines):
        lines.prepare([1.0], y_label="T₁ ÷ (p Tₚ)")
        lines.axes.axhline(1, color=style.INK, linewidth=0.8, zorder=2)
        best = leaders(measured(lines.panel.cells, "median_s"), "median_s")
        for kernel, cells in lines.drawn.groupby("kernel", sort=False):
            lines.line(kernel, cells, strong=kernel in best)
        lines.names({kernel: shortened(kernel) for kernel in lines.ends})

    reading = "100 %: p threads are p times as fast as one. Strong: the fastest somewhere."
    make = _maker("efficiency", style.percent)
    return _figure(
        series.by_parameters(view), make, draw, Picture(name, title, reading, caption), folder
    )


def crossovers(cells):
    """Where the fastest kernel changes: crossing of the two lines, straight in the logarithms.

    Changes that the intervals do not resolve on both sides are left out.

    Returns
    -------
    list of (x, seconds)
    """
    found = []
    columns = [column for _, column in cells.groupby("x")]
    for left, right in itertools.pairwise(columns):
        left, right = left.set_index("kernel"), right.set_index("kernel")
        first, second = left.median_s.idxmin(), right.median_s.idxmin()
        if first == second or second not in left.index or first not in right.index:
            continue
        before = left.high_s[first] < left.low_s[second]
        after = right.high_s[second] < right.low_s[first]
        if before and after:
            found.append(_crossing(left, right, first, second))
    return found


def _crossing(left, right, first, second):
    x0, x1 = np.log(left.x.iloc[0]), np.log(right.x.iloc[0])
    gap0 = np.log(left.median_s[second] / left.median_s[first])
    gap1 = np.log(right.median_s[first] / right.median_s[second])
    share = gap0 / (gap0 + gap1)
    start, end = np.log(left.median_s[first]), np.log(right.median_s[first])
    return float(np.exp(x0 + share * (x1 - x0))), float(np.exp(start + share * (end - start)))


def _maker(value, number, low=None, high=None):
    return lambda axes, panel: LinePanel(axes, panel, value, number, low, high)


def _figure(panels, make, draw, picture, folder, behind=""):
    """Draw the panels that have something to show, or None."""
    trial = [panel for panel in panels if len(make(None, panel).drawn)]
    if not trial:
        return None
    shown = series.thin(trial, MOST_PANELS)
    if len(shown) < len(trial):
        picture.caption += f" {len(shown)} of {len(trial)} series are shown; cells.csv has all."
    if constant := series.constant(pd.concat([panel.cells for panel in panels])):
        picture.caption += f" Throughout: {constant}."
    right, height = room(shown, behind)
    grid = Grid(len(shown), right, height, fixed=[panel.fixed for panel in shown])
    rows = []
    for panel in shown:
        lines = make(grid.add(panel.varies, panel.fixed), panel)
        draw(lines)
        rows.append(lines.rows(f"{panel.varies}; {panel.fixed}".rstrip("; ")))
    return grid.finish(picture, pd.concat(rows), folder)
