"""Accuracy against time: what a faster algorithm or a shorter number costs in digits."""

import numpy as np

from convgrad.results.plots import style
from convgrad.results.plots.cloud import Cloud
from convgrad.results.plots.figure import BARE, Grid, Picture
from convgrad.results.plots.labels import width_inches
from convgrad.results.plots.lines import measured

HEIGHT = 3.8


def draw(cells, name, title, caption, folder):
    """Draw the largest error over the largest element against the time of a call."""
    cells = measured(cells, "median_s")
    cells = cells[cells.relative_error.notna()]
    if cells.empty:
        return None
    nonzero = cells.relative_error[cells.relative_error > 0]
    exact = nonzero.min() / 3 if len(nonzero) else np.finfo(float).eps
    cells = cells.assign(drawn_error=cells.relative_error.where(cells.relative_error > 0, exact))
    groups = list(cells.groupby(["family", "dtype"], sort=False))
    named = [(" ".join(key), *_slowest(own), key[0], False) for key, own in groups]
    right = 0.5 + width_inches([one[0] for one in named], style.SMALL)
    grid = Grid(1, right, HEIGHT, top=BARE)
    cloud = Cloud(
        grid.add(),
        (cells.median_s.min(), cells.median_s.max()),
        (cells.drawn_error.min(), cells.drawn_error.max()),
        style.seconds,
        lambda error: f"{error:.0e}".replace("e-0", "e-"),
        "time of a call",
        "largest error ÷ largest element",
    )
    for (family, dtype), own in groups:
        hollow = np.full(len(own), dtype != "float32")
        cloud.points(own.median_s.to_numpy(), own.drawn_error.to_numpy(), family, hollow)
    cloud.names(named)
    reading = "Down is more accurate, left is faster. Filled: float32; hollow: float64."
    if (cells.relative_error == 0).any():
        reading += " At the bottom edge: no error."
    columns = ["kernel", "family", "dtype", "case", "median_s", "relative_error", "flags"]
    return grid.finish(Picture(name, title, reading, caption), cells[columns], folder)


def _slowest(own):
    row = own.loc[own.median_s.idxmax()]
    return row.median_s, row.drawn_error
