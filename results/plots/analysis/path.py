"""The path over lambda: coefficients, which of them are zero, and the error on held-out data."""

import numpy as np

from convgrad.results.findings import COEFFICIENT
from convgrad.results.plots import style
from convgrad.results.plots.analysis.marks import chosen, curve, log_axis
from convgrad.results.plots.figure import Grid
from convgrad.results.plots.labels import End, beside, width_inches

WIDTH, HEIGHT = 3.6, 2.6
_INKS = [style.color(family) for family in list(style.FAMILIES)[-10:]]
"""Colours of ten coefficients: those of models, which tell themselves apart as well."""
_PENALTIES = {"l2": "ridge: λ/2 |w|²", "l1": "lasso: λ |w|₁"}


def draw(table, picture, folder):
    """Draw coefficients over errors, a column a penalty."""
    names = [name for name in table if name.startswith(COEFFICIENT)]
    right = 0.35 + width_inches([n.removeprefix(COEFFICIENT) for n in names], style.SMALL)
    parts = list(table.groupby("penalty", sort=False))
    grid = Grid(2 * len(parts), right, HEIGHT, plot_width=WIDTH, top=0.7)
    for penalty, own in parts:
        axes = grid.add(f"Coefficients, {_PENALTIES.get(penalty, penalty)}", _zeros(own))
        _coefficients(axes, own, names)
    for penalty, own in parts:
        axes = grid.add(f"Error, {_PENALTIES.get(penalty, penalty)}", _tested(own))
        _errors(axes, own)
    return grid.finish(picture, table, folder)


def _zeros(own):
    most, least = own.zeros.max(), own.zeros.min()
    if not most:
        return "none is ever zero"
    simple = chosen(own)[-1]
    return f"exactly zero: {most} of them on the left, {simple.zeros} at the ring, {least} at last"


def _tested(own):
    best, simple = chosen(own)[0], chosen(own)[-1]
    texts = [style.number(row.test_error) for row in (best, simple)]
    return f"on test patients: {texts[0]} at the least error, {texts[1]} at the ring"


def _coefficients(axes, own, names):
    log_axis(axes, own["lambda"], "λ")
    axes.axhline(0, color=style.MUTED, linewidth=0.6)
    axes.margins(y=0.06)
    ends = []
    for name, ink in zip(names, _INKS):
        axes.plot(own["lambda"], own[name], color=ink, linewidth=1.2)
    low, high = axes.get_ylim()
    for name, ink in zip(names, _INKS):
        last = own[name].iloc[-1]
        text = name.removeprefix(COEFFICIENT)
        ends.append(End(text, 0.99, float(np.interp(last, (low, high), (0, 1))), ink, style.INK))
    for row in chosen(own):
        axes.axvline(row["lambda"], color=style.MUTED, linewidth=0.7, linestyle=":")
    beside(axes, ends)
    looks = {"fontsize": style.SMALL, "color": style.MUTED}
    axes.text(
        0, 1.02, "points of progression a standard deviation", transform=axes.transAxes, **looks
    )


def _errors(axes, own):
    log_axis(axes, own["lambda"], "λ")
    curve(axes, own["lambda"], own)
    axes.text(
        *(0, 1.02, "mean square error on held-out folds; band: ± its standard error"),
        **{"transform": axes.transAxes, "fontsize": style.SMALL, "color": style.MUTED},
    )
