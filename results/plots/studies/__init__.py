"""Figures of trained models: what each study shows, and what models gain on each other."""

import numpy as np

from convgrad.results.plots.figure import Picture
from convgrad.results.plots.studies import budget, gains, names, pareto, rows
from convgrad.results.plots.views import caption, main_view, select
from convgrad.results.summary import published

_ROWS = (
    "Right: more accurate, or dearer. "
    "Bold: the best of a column; bold name: the best on validation data."
)
STUDIES = {
    "shape": (rows.largest_first, "One layer in many forms", f"Only that layer differs. {_ROWS}"),
    "pareto": (
        *(pareto.draw, "What accuracy costs"),
        "Each mark is a trained model: up is more accurate, left is cheaper. Line: the best for "
        "its cost; pale: beaten by a cheaper one. Thin lines: from the model it was made of.",
    ),
    "filter_size": (rows.draw, "How large a filter pays", _ROWS),
    "depth": (rows.draw, "Where along a network convolution pays", _ROWS),
}
"""What draws each study, its title, and how to read it; others are drawn like pareto."""
_BUDGET = (
    "The best model within a limit",
    "The further right, the more is allowed. Of what is allowed, the best on validation data "
    "is taken; up is better on test data, which do not always agree.",
)
_CHOSEN_FROM = "pareto", "budget"
"""Studies of many models, from which some limit chooses."""
_GAINS = (
    "What changes accuracy, and what does not",
    "Filled: the interval excludes 0. Models are paired by the seeds of their training.",
)


def of_models(cells, info, folder):
    """Draw the figures of all studies.

    Parameters
    ----------
    cells : DataFrame
        Of trained models, with what these have learned.
    info : dict
        What ``run.json`` says.
    folder : Path

    Returns
    -------
    list of Picture
    """
    cells = cells[cells.accuracy.notna()]
    if cells.empty:
        return []
    seen = main_view(cells)
    view = select(cells, *seen)
    believed = view.index.isin(published(view).index)
    times = {name: view[name].where(believed) for name in ("median_s", "low_s", "high_s")}
    view = view.assign(**times)
    view = view[view.batch == view.groupby("study").batch.transform("min")]
    pictures = []
    for study, own in view.groupby("study", sort=False):
        draw, title, reading = STUDIES.get(study, STUDIES["pareto"])
        for data, part in own.groupby("data", sort=False):
            whole = f"{title}: {names.TASKS.get(data, data)}"
            text = caption(part, info, *seen, marks=_marks(part))
            pictures.append(draw(part, Picture(f"{study}-{data}", whole, reading, text), folder))
    many = view[view.study.isin(_CHOSEN_FROM)].drop_duplicates("kernel")
    if len(many):
        text = caption(many, info, *seen, marks=_marks(many))
        pictures.append(budget.draw(many, Picture("budget", *_BUDGET, text), folder))
    for data, own in view.drop_duplicates("kernel").groupby("data", sort=False):
        text = caption(own.assign(resolution=np.nan), info, *seen, marks=_marks(own))
        title = f"{_GAINS[0]}: {names.TASKS.get(data, data)}"
        pictures.append(gains.draw(own, Picture(f"gains-{data}", title, _GAINS[1], text), folder))
    return [picture for picture in pictures if picture]


def _marks(cells):
    """What the lines through marks are, and at how many examples a call was timed."""
    counts = " to ".join(f"{count:.0f}" for count in sorted({cells.seeds.min(), cells.seeds.max()}))
    several = f"Lines: 95 % intervals; accuracy is the mean of {counts} trainings."
    one = "Accuracy is that of one training."
    batches = sorted(set(cells.batch))
    size = "" if batches == [1] else f" Examples a call: {', '.join(map(str, batches))}."
    return f" {several if cells.seeds.max() > 1 else one}{size}"
