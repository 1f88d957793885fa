"""Names at the ends of lines, moved apart where they would lie on each other."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from convgrad.results.plots.style import SMALL

LONGEST = 24


class End(NamedTuple):
    """Where a name belongs, as parts of the axes, and how it looks."""

    text: str
    x: float
    y: float
    ink: str
    text_ink: str
    strong: bool = False


def beside(axes, ends):
    """Write names to the right of the axes, each with a thin line to where it belongs."""
    inches = axes.get_position().height * axes.figure.get_figheight()
    for end, place in zip(ends, spread([end.y for end in ends], 1.22 * SMALL / 72 / inches)):
        axes.plot(
            [end.x, 1.015, 1.045],
            [end.y, place, place],
            ":" if end.x < 0.9 else "-",
            color=end.ink,
            linewidth=0.6,
            alpha=0.8,
            transform=axes.transAxes,
            clip_on=False,
            zorder=1,
        )
        axes.text(
            1.055,
            place,
            end.text.replace("$", r"\$"),
            transform=axes.transAxes,
            fontsize=SMALL,
            weight="bold" if end.strong else "normal",
            color=end.text_ink,
            va="center_baseline",
        )


def spread(wanted, gap, low=0.0, high=1.0):
    """Positions nearest to the wanted ones, at least ``gap`` apart and within the bounds.

    Least squares under ``p[i + 1] - p[i] >= gap`` is isotonic regression of ``p[i] - i * gap``.
    The gap shrinks where so many labels do not fit.

    Parameters
    ----------
    wanted : sequence of float
    gap, low, high : float

    Returns
    -------
    ndarray
        In the order of ``wanted``.
    """
    wanted = np.asarray(wanted, dtype=float)
    if not wanted.size:
        return wanted
    gap = min(gap, (high - low) / max(wanted.size - 1, 1))
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(wanted.size)
    level = isotonic_regression(wanted[order] - steps).x
    placed = np.empty_like(wanted)
    placed[order] = np.clip(level, low, max(high - steps[-1], low)) + steps
    return placed


def shortened(name):
    """The name, cut where it is longer than `LONGEST`."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def width_inches(texts, size):
    """Room that the longest of the texts takes, by the mean width of a letter."""
    longest = max(map(len, texts), default=0)
    return longest * 0.61 * size / 72
