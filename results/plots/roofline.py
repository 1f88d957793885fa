"""The roofline: how near each kernel comes to what memory and arithmetic allow."""

import itertools

import numpy as np

from convgrad.results.plots import style
from convgrad.results.plots.cloud import Cloud
from convgrad.results.plots.figure import BARE, Grid, Picture
from convgrad.results.plots.labels import shortened, width_inches
from convgrad.results.plots.lines import leaders, measured
from convgrad.results.plots.views import doubtful
from convgrad.results.schema import ON_DEVICE

HEIGHT = 3.8
NEAR = 1.4
"""Levels whose bandwidths differ by less share a label."""


def roof_of(info, dtype, threads, call):
    """The measured limits of the CPU at this dtype and thread count, or of the device, or None."""
    wanted = ("cuda", dtype, None) if call == ON_DEVICE else ("cpu", dtype, threads)
    for roof in info.get("roofs") or ():
        if (roof.get("device", "cpu"), roof["dtype"], roof.get("threads")) == wanted:
            return roof
    return None


def levels(roof):
    """Name of each memory level and its read bandwidth in bytes/s, from the first cache on."""
    speeds = [speed for _, speed in roof["bandwidth"]]
    names = [f"L{number}" for number in range(1, len(speeds))] + ["memory"]
    return list(zip(roof.get("levels", names), speeds))


def draw(roof, view, name, title, caption, folder):
    """Draw GFLOP/s against arithmetic intensity, under the roofs that were measured."""
    cells = measured(view, "gflops")
    cells = cells[cells.intensity > 0]
    if cells.empty:
        return None
    best = leaders(cells, "gflops", best=max)
    named = [
        (shortened(kernel), *_highest(own), own.family.iloc[0], kernel in best)
        for kernel, own in cells.groupby("kernel", sort=False)
    ]
    right = 0.35 + width_inches([one[0] for one in named], style.SMALL) * 1.1
    grid = Grid(1, right, max(HEIGHT, 1.25 * style.SMALL / 72 * len(named)), top=BARE)
    x_range = cells.intensity.min(), cells.intensity.max()
    y_range = cells.gflops.min(), cells.gflops.max()
    if roof:
        slopes = [0.12 * roof["flops_per_s"] / speed for _, speed in levels(roof)]
        x_range = min([x_range[0], *slopes]), x_range[1]  # so that one sees the lines rise
        y_range = y_range[0], max(y_range[1], 1.6e-9 * roof["flops_per_s"])
    cloud = Cloud(
        grid.add(),
        x_range,
        y_range,
        style.number,
        style.number,
        "arithmetic intensity of the direct algorithm, FLOP/byte",
        "GFLOP/s (direct count)",
    )
    if roof:
        _roofs(cloud, roof)
    fastest = cells.gflops == cells.groupby("case", sort=False).gflops.transform("max")
    for (family, strong), own in cells.groupby([cells.family, fastest], sort=False):
        hollow = doubtful(own["flags"]).to_numpy()
        cloud.points(own.intensity.to_numpy(), own.gflops.to_numpy(), family, hollow, strong)
    cloud.names(named)
    reading = "Every mark is a kernel at one size; large: the fastest there. Grey: measured limits."
    caption += " What saves arithmetic (FFT) or runs on a GPU may pass the limits."
    columns = ["kernel", "family", "case", "intensity", "gflops", "level", "bound_by", "flags"]
    return grid.finish(Picture(name, title, reading, caption), cells[columns], folder)


def _highest(own):
    row = own.loc[own.gflops.idxmax()]
    return row.intensity, row.gflops


def _roofs(cloud, roof):
    """Draw the peak, and a line a memory level up to it; names stand on the lines."""
    axes, peak = cloud.axes, roof["flops_per_s"] / 1e9
    left, right = (10**v for v in cloud.x_range)
    speeds = [(name, speed / 1e9) for name, speed in levels(roof)]
    grey = {"color": style.ROOF, "linewidth": 1.2, "zorder": 2}
    text = {"fontsize": style.SMALL - 1, "color": style.MUTED, "zorder": 8}
    ridges = [min(peak / speed, right) for _, speed in speeds] or [left]
    axes.plot([max(left, min(ridges)), right], [peak, peak], **grey)
    beyond = max(ridges) == right  # the peak is out of reach of what was measured
    above = {"xytext": (-2 if beyond else 2, 3), "textcoords": "offset points"}
    above["ha"] = "right" if beyond else "left"
    axes.annotate(f"peak: {style.number(peak)} GFLOP/s", (max(ridges), peak), **above, **text)
    bottom = 10 ** cloud.y_range[0]
    for _, speed in speeds:
        start, end = max(left, bottom / speed), min(right, peak / speed)
        if start < end:
            axes.plot([start, end], [start * speed, end * speed], **grey)
    for label, speed in _labels(speeds):
        start, end = max(left, bottom / speed), min(right, peak / speed)
        if start < end:
            _along(cloud, label, start, start * speed, text)


def _labels(speeds):
    """One text for levels that are about as fast: (text, the highest bandwidth)."""
    groups = [[speeds[0]]] if speeds else []
    for before, level in itertools.pairwise(speeds):
        if before[1] / level[1] < NEAR:
            groups[-1].append(level)
        else:
            groups.append([level])
    for group in groups:
        names = ", ".join(name for name, _ in group)
        values = "–".join(style.number(speed) for _, speed in (group[-1], group[0])[-len(group) :])
        yield f"{names}: {values} GB/s", group[0][1]


def _along(cloud, text, x, y, looks):
    """Write along a line of slope 1 in the logarithms, from its visible start."""
    place = cloud.axes.get_position()
    figure = cloud.axes.figure
    wide = place.width * figure.get_figwidth() / np.diff(cloud.x_range)[0]
    high = place.height * figure.get_figheight() / np.diff(cloud.y_range)[0]
    angle = np.arctan2(high, wide)
    right, up = np.cos(angle), np.sin(angle)
    cloud.axes.annotate(
        text,
        (x, y),
        xytext=(12 * right - 2 * up, 12 * up + 2 * right),
        textcoords="offset points",
        rotation=np.degrees(angle),
        rotation_mode="anchor",
        va="bottom",
        ha="left",
        **looks,
    )
