"""Figures of trained models, on cells made by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from convgrad.results.page import render
from convgrad.results.plots import style, write_plots
from convgrad.results.plots.studies import names
from convgrad.results.plots.studies.budget import chosen
from convgrad.results.plots.studies.costs import PARAMETERS, accuracy_axis, cost_axis, logit
from convgrad.results.plots.studies.pareto import front, outliers

INFO = {"machine": {"cpu": "hand-made"}}
FAMILIES = (
    *("dense", "local", "convolution", "separable", "low rank", "joined"),
    *("pruned", "fewer filters", "quantised", "distilled"),
)

shares = st.floats(0, 1)
tables = st.lists(st.tuples(st.integers(1, 9), shares, shares), min_size=1, max_size=20).map(
    lambda rows: pd.DataFrame(rows, columns=["cost", "accuracy", "validation_accuracy"])
)


@pytest.fixture(scope="module")
def drawn(model_cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    return write_plots(model_cells, INFO, folder), folder


def test_every_family_has_a_colour_and_a_marker_of_its_own():
    looks = {(style.color(family), style.marker(family)) for family in FAMILIES}
    assert len(looks) == len(FAMILIES)
    assert len({color for color, _ in looks}) == len({mark for _, mark in looks}) == len(FAMILIES)


@given(tables)
def test_the_front_is_what_nothing_beats(table):
    best = front(table.cost, table.accuracy)
    for row, is_best in zip(table.itertuples(), best):
        beaten = (table.cost <= row.cost) & (table.accuracy > row.accuracy)
        assert is_best <= ~beaten.any()
    # whatever is off the front has somebody on it who is as good and costs no more
    for row in table[~best].itertuples():
        better = table[best]
        assert ((better.cost <= row.cost) & (better.accuracy >= row.accuracy)).any()


def test_what_lacks_a_cost_is_not_on_the_front():
    assert front(pd.Series([1.0, np.nan]), pd.Series([0.5, 0.9])).tolist() == [True, False]


@given(tables, st.integers(0, 10))
def test_what_is_chosen_is_the_best_within_the_limit_by_validation(table, limit):
    steps = chosen(table, "cost")
    allowed = table[table.cost <= limit].validation_accuracy
    within = steps[steps.cost <= limit].validation_accuracy
    assert len(allowed) == 0 or within.iloc[-1] == allowed.max()
    assert steps.cost.is_monotonic_increasing


def test_outliers_are_far_below_and_never_above():
    accuracy = pd.Series([0.3, 0.90, 0.91, 0.92, 0.93, 0.94, 0.999])
    assert outliers(accuracy).tolist() == [True] + [False] * 6


@given(st.lists(shares, min_size=1, max_size=9))
def test_an_axis_of_accuracy_holds_its_values_and_has_round_ticks(values):
    axes = Figure().add_subplot()
    cells = pd.DataFrame({"accuracy": values, "accuracy_low": np.nan, "accuracy_high": np.nan})
    accuracy_axis(axes.yaxis, cells)
    low, high = logit(np.array(axes.get_ylim()))
    assert (logit(values) >= low - 1e-9).all()
    assert (logit(values) <= high + 1e-9).all()
    ticks = axes.get_yticks()
    assert np.allclose(ticks, np.round(ticks, 4))
    assert len(ticks) <= 12
    assert len(ticks) or not 0.002 < min(values) <= max(values) < 0.998


def test_intervals_of_two_seeds_do_not_take_the_axis(model_cells):
    cells = model_cells[model_cells.study == "pareto"]
    heights = []
    for low, high in ((cells.accuracy_low, cells.accuracy_high), (0.0, 1.0)):
        axes = Figure().add_subplot()
        accuracy_axis(axes.yaxis, cells.assign(accuracy_low=low, accuracy_high=high))
        heights.append(np.ptp(logit(np.array(axes.get_ylim()))))
    assert heights[0] < heights[1] < 2.5 * heights[0]


def test_each_study_has_its_figure_and_each_figure_its_files(drawn):
    pictures, folder = drawn
    names = [picture.name for picture in pictures["predict"]]
    assert names == [
        *("shape-mnist", "pareto-mnist", "filter_size-mnist", "filter_size-vowels"),
        *("depth-mnist", "budget-mnist", "budget-digits", "budget-languages", "budget"),
        *("gains-mnist", "gains-digits", "gains-languages"),
    ]
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("svg", "png", "csv")
    }
    assert pictures[""] == []  # nobody wins by time alone


def test_the_figures_say_what_a_stranger_has_to_know(drawn):
    pareto = drawn[0]["predict"][1]
    for text in ("Stored numbers", "Time", "Memory", "File", "right answers on test data"):
        assert f">{text}<" in pareto.svg
    for family in ("convolution", "pruned", "quantised", "distilled"):
        assert f">{family}<" in pareto.svg
    assert "up is more accurate, left is cheaper" in pareto.reading
    assert "mean of 5 trainings" in pareto.caption
    assert len(pareto.boxes) == 4


def test_names_of_models_do_not_lie_on_each_other_nor_leave_the_axes(model_cells):
    cells = model_cells[(model_cells.study == "pareto")].reset_index(drop=True)
    best = cells[front(cells.stored_parameters, cells.accuracy)]
    axes = Figure(figsize=(5, 4), layout=None).add_subplot()
    accuracy_axis(axes.yaxis, cells, label=True)
    named = names.apart(best, axes)
    cost_axis(axes.xaxis, PARAMETERS, *names.room("stored_parameters", 5e3, 3e5, named, axes))
    before = len(axes.texts)
    names.write("stored_parameters", named, axes)
    boxes = [text.get_window_extent() for text in axes.texts[before:]]
    assert len(boxes) >= 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert min(box.x0 for box in boxes) >= axes.get_window_extent().x0


def test_the_csv_beside_a_figure_has_a_row_a_model(drawn, model_cells):
    _, folder = drawn
    models = model_cells[model_cells.study == "pareto"]
    table = pd.read_csv(folder / "pareto-mnist.csv")
    assert set(table.model) == set(models.model)
    assert 0 < table.best_for_file_bytes.sum() < len(table)
    gains = pd.read_csv(folder / "gains-mnist.csv")
    assert not gains.model.duplicated().any()
    assert set(gains.model) == set(models.model[models.compared_to != ""])


def test_times_that_nobody_believes_are_not_drawn(model_cells, tmp_path):
    cells = model_cells[model_cells.study == "shape"].copy()
    cells.loc[cells.model == "dense", "flags"] = "above-roof"
    write_plots(cells, INFO, tmp_path)
    table = pd.read_csv(tmp_path / "shape-mnist.csv").set_index("model")
    assert np.isnan(table.median_s["dense"])
    assert table.median_s.notna().sum() == len(table) - 1


def test_models_that_were_never_trained_are_left_out(model_cells, tmp_path):
    untrained = model_cells.assign(accuracy=np.nan)
    assert write_plots(untrained, INFO, tmp_path) == {"": []}


def test_the_page_of_a_study_asks_another_question(drawn, model_cells):
    page = render(INFO, model_cells, drawn[0])
    assert "What does a model cost" in page
    assert "trained models" in page
    assert "Nothing has been measured" not in page
    assert "Wins by size" not in page
    assert f"All {len(model_cells)} models" in page
    assert '<td class="n">+2.1 <small>(+1.7 … +2.6)</small>' in page
