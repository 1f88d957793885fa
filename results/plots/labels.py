"""Names at the ends of lines, moved apart where they would lie on each other."""

import numpy as np
from scipy.optimize import isotonic_regression

LONGEST = 24


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
