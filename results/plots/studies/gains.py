"""Gains: how much better or worse a model is than the one it is compared to, seed by seed."""

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from convgrad.results.plots import style
from convgrad.results.plots.figure import Grid
from convgrad.results.plots.labels import width_inches

ROW = 0.22
_PLOT_WIDTH = 3.6
_LINEAR = 2
"""Points up to which the scale is linear: few models lose more, but some lose nearly all."""
_TICKS = 1, 2, 5, 20, 50


def draw(cells, picture, folder):
    """Draw a row a model that is compared to another; a cell is a model."""
    cells = cells[cells.gain.notna()]
    if cells.empty:
        return None
    cells = cells.sort_values(["family", "gain"], ascending=[True, False])
    texts = [_text(row) for row in cells.itertuples()]
    others = [f"against {name}" for name in cells.compared_to]
    middle = 0.3 + width_inches(texts, style.SMALL)
    grid = Grid(
        1,
        right=middle + width_inches(others, style.SMALL),
        plot_height=ROW * len(cells) + 0.1,
        left=0.35 + width_inches(cells.model, style.SMALL),
        plot_width=_PLOT_WIDTH,
        top=0.4,
    )
    axes = grid.add()
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.set_yticks(range(len(cells)), cells.model)
    axes.tick_params(length=0, axis="y")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.6)
    axes.axvline(0, color=style.INK, linewidth=1)
    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=1)
    axes.xaxis.set_major_locator(FixedLocator([0, *_TICKS, *(-tick for tick in _TICKS)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    axes.xaxis.set_minor_locator(NullLocator())
    unit = f"points of accuracy; beyond {_LINEAR}, on a logarithmic scale"
    axes.set_xlabel(unit, fontsize=style.SMALL, color=style.MUTED, labelpad=2)
    for text, x, side in (("← worse", -6, "right"), ("better →", 6, "left")):
        axes.annotate(
            *(text, (0, 1), (x, 4)),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            **{"ha": side, "fontsize": style.SMALL, "color": style.MUTED},
        )
    for place, (row, text, other) in enumerate(zip(cells.itertuples(), texts, others)):
        ink = style.color(row.family)
        axes.get_yticklabels()[place].set_color(style.text_color(row.family))
        axes.plot(
            [100 * row.gain_low, 100 * row.gain_high], [place, place], color=ink, linewidth=1.5
        )
        sure = row.gain_low > 0 or row.gain_high < 0
        axes.plot(
            *(100 * row.gain, place, style.marker(row.family)),
            **{"color": ink, "markerfacecolor": ink if sure else "white", "markersize": 6},
            zorder=4,
        )
        looks = {"fontsize": style.SMALL, "va": "center_baseline"}
        looks["transform"] = axes.get_yaxis_transform()
        axes.text(1 + 0.12 / _PLOT_WIDTH, place, text, **looks)
        axes.text(1 + middle / _PLOT_WIDTH, place, other, color=style.MUTED, **looks)
    axes.margins(x=0.06)
    kept = ["model", "compared_to", "family", "seeds", "gain", "gain_low", "gain_high"]
    return grid.finish(picture, cells[kept], folder)


def _text(row):
    text = _points(row.gain)
    if row.gain_low == row.gain_low:
        text += f" ({_points(row.gain_low)} to {_points(row.gain_high)})"
    return text


def _points(share):
    """Points of a hundred, with a sign unless they are none."""
    points = round(100 * share, 1)
    return f"{points:+.1f}".replace("-", "−") if points else "0.0"
