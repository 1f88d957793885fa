"""The ledger of compiling as a figure: four costs of each kernel on one axis of seconds."""

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from convgrad.results import ledger
from convgrad.results.plots import style
from convgrad.results.plots.figure import BARE, Grid, Picture
from convgrad.results.plots.labels import shortened, width_inches

COSTS = {"compile_s": "s", "load_s": "D", "first_call_s": "^", "steady_s": "o"}
ROW = 0.24


def draw(cells, name, title, caption, folder):
    """Draw a row a kernel and dtype; ``cells`` are of one thread count."""
    table = ledger.ledger(cells)
    if table.empty:
        return None
    labels = [f"{shortened(row.kernel)}, {row.dtype}" for row in table.itertuples()]
    verdicts = [ledger.payoff(row) for row in table.itertuples()]
    grid = Grid(
        1,
        right=0.4 + width_inches(verdicts, style.SMALL),
        plot_height=ROW * len(table) + 0.1,
        left=0.3 + width_inches(labels, style.SMALL),
        plot_width=3.2,
        top=BARE,
    )
    axes = grid.add()
    axes.set_xscale("log")
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_yticks(range(len(table)), labels)
    axes.tick_params(length=0, axis="y")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.6)
    for place, (row, verdict) in enumerate(zip(table.itertuples(), verdicts)):
        _row(axes, place, row)
        axes.text(
            1.03,
            place,
            verdict.replace("$", r"\$"),
            transform=axes.get_yaxis_transform(),
            fontsize=style.SMALL,
            va="center_baseline",
        )
    axes.margins(x=0.05)
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: style.seconds(v)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.text(
        1.03,
        1.02,
        "compiling has paid off",
        transform=axes.transAxes,
        fontsize=style.SMALL,
        color=style.MUTED,
    )
    reading = "■ compile  ◆ load compiled code  △ first call  ● later calls, at the largest size."
    return grid.finish(Picture(name, title, reading, caption), table, folder)


def _row(axes, place, row):
    costs = {name: getattr(row, name) for name in COSTS if getattr(row, name) > 0}
    ends = min(costs.values()), max(costs.values())
    axes.plot(ends, [place, place], color=style.GRID, linewidth=2, zorder=1)
    ink = style.color(row.family)
    for name, value in costs.items():
        face = "white" if name == "first_call_s" else ink
        axes.plot(
            value, place, COSTS[name], color=ink, markerfacecolor=face, markersize=5, zorder=3
        )
