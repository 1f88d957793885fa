"""Figures of linear analysis: paths over lambda, convergence, the size of a filter."""

from convgrad.results.plots.analysis import convergence, filters, path
from convgrad.results.plots.figure import Picture

_FIGURES = {
    "path": (
        *(path.draw, "Linear models of diabetes as the penalty fades"),
        "To the right, the penalty is weaker and coefficients are larger. Below, the error on "
        "patients held out; ring: the strongest penalty that cannot be told from the best.",
    ),
    "convergence": (
        *(convergence.draw, "How fast descent arrives"),
        "Down is nearer to the minimum. Left: one kernel, the fewer iterations the smaller the "
        "condition number κ; dashed: what theory allows at most. Right: all kernels.",
    ),
    "filters": (
        *(filters.draw, "How many taps predict a cell's voltage"),
        "Left: the error on later times; ring: the fewest taps that cannot be told from the best. "
        "Right: those filters.",
    ),
}


def of_findings(found, machine, folder):
    """Draw what was found.

    Parameters
    ----------
    found : dict of str to DataFrame
        As `convgrad.results.findings` gives it.
    machine : str
        Where it was measured: the caption.
    folder : Path

    Returns
    -------
    list of Picture
    """
    return [
        draw(table, Picture(name, title, reading, machine), folder)
        for name, table in found.items()
        for draw, title, reading in [_FIGURES[name]]
    ]
