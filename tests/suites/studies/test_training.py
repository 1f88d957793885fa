"""Training of a run's models: order, what is kept, what is gone on with, what fails."""

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest

from convgrad.kernels import datasets
from convgrad.results.learned import learned
from convgrad.results.schema import LEARNED_COLUMNS
from convgrad.suites.studies import made_by, training, ways
from convgrad.suites.studies.networks import Network
from convgrad.suites.studies.recipe import Recipe, Schedule
from convgrad.suites.studies.study import Study
from convgrad.suites.studies.training import Training, slug
from convgrad.suites.workers.process import Lost


def recipe(name, base=""):
    made = {"build": Network(widths=(4,)), "training": Schedule(1)}
    if base:
        made = {"shrink": partial(ways.zeros, share=0.9, tuning=Schedule(1)), "base": base}
    return Recipe(name, "digits", "dense", **made)


A, B, ZEROS, SMALLER = RECIPES = (
    recipe("a"),
    recipe("b"),
    recipe("b, 90 % zeros", "b"),
    recipe("smaller", "b, 90 % zeros"),
)
DIGITS = datasets.load("digits").sha256


class FakeCrew:
    """Learns at once, and remembers what; some models fail, or lose their process."""

    def __init__(self, failing=(), losing=()):
        self.learnt, self.processes = [], 0
        self.failing, self.losing = failing, losing
        self.lock = threading.Lock()

    def begin(self, threads):
        assert threads == 1

    @contextmanager
    def alone(self, kernel, threads, memory_bytes):
        self.processes += 1
        yield self.ask

    def ask(self, method, module, preset, label, seed, base, path):
        assert (method, module, preset) == ("learn", "mine", "smoke")
        if label in self.losing:
            raise Lost("crashed", "killed")
        if label in self.failing:
            return {"status": "crashed", "detail": "Diverged: loss: got nan"}
        with open(path, "w") as file:
            file.write(label)
        with self.lock:
            self.learnt.append((label, seed, base))
        row = dict.fromkeys(LEARNED_COLUMNS, 1) | {"sha256": DIGITS, "base": "", "compared_to": ""}
        data, _, name = label.partition(" ")
        return row | {"data": data, "model": name, "seed": seed}


def train(folder, crew, width=2, labels=("digits a", "digits smaller"), recipes=RECIPES, say=print):
    training = Training(folder, "smoke", say=say)
    training.add("mine", Study("tried", {"smoke": recipes}, {"smoke": 2}), labels)
    return json.loads(training.run(crew, width).read_text())


def trained_again(folder, **options):
    """Names of the models that a resumed run trains, with both seeds, and what it says of them."""
    crew, said = FakeCrew(), []
    train(folder, crew, say=said.append, **options)
    names = {label.removeprefix("digits ") for label, _, _ in crew.learnt}
    assert len(crew.learnt) == 2 * len(names)
    assert len(learned(folder)) == 2 * len(RECIPES)
    return names, said


def test_bases_come_first_and_are_handed_on(tmp_path):
    crew = FakeCrew()
    entries = train(tmp_path, crew)
    assert [entry["name"] for entry in entries] == [recipe.label for recipe in RECIPES]
    assert all("missing" not in entry for entry in entries)
    assert len(crew.learnt) == 2 * len(RECIPES) == len(learned(tmp_path))
    order = {(label, seed): place for place, (label, seed, _) in enumerate(crew.learnt)}
    for label, seed, base in crew.learnt:
        found = next(one for one in RECIPES if one.label == label)
        assert (base is None) == (not found.base)
        if base:
            assert base.endswith(f"{slug('digits ' + found.base)}-{seed}.safetensors")
            assert order["digits " + found.base, seed] < order[label, seed]


def test_only_what_is_wanted_and_its_bases_are_trained(tmp_path):
    crew = FakeCrew()
    train(tmp_path, crew, labels=["digits b, 90 % zeros"])
    assert {label for label, _, _ in crew.learnt} == {"digits b", "digits b, 90 % zeros"}


def test_a_resumed_run_trains_what_is_missing(tmp_path):
    train(tmp_path, FakeCrew(), labels=["digits b"])
    (tmp_path / "models" / "digits-b-1.safetensors").unlink()
    crew = FakeCrew()
    train(tmp_path, crew)
    again = [(label, seed) for label, seed, _ in crew.learnt if label == "digits b"]
    assert again == [("digits b", 1)]
    assert len(learned(tmp_path)) == 2 * len(RECIPES)
    assert train(tmp_path, crew := FakeCrew())
    assert not crew.learnt


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (replace(A, training=Schedule(2)), {A.name}),
        (replace(A, build=Network(widths=(5,))), {A.name}),
        (replace(B, training=Schedule(1, step=0.01)), {B.name, ZEROS.name, SMALLER.name}),
        (
            replace(ZEROS, shrink=partial(ways.zeros, share=0.8, tuning=Schedule(1))),
            {ZEROS.name, SMALLER.name},
        ),
        (
            replace(SMALLER, shrink=partial(ways.fewer, share=0.9, tuning=Schedule(1))),
            {SMALLER.name},
        ),
    ],
)
def test_a_changed_recipe_is_trained_anew_with_all_that_is_made_from_it(tmp_path, changed, names):
    before = {entry["name"]: entry["made_by"] for entry in train(tmp_path, FakeCrew())}
    recipes = [changed if one.name == changed.name else one for one in RECIPES]
    again, (said,) = trained_again(tmp_path, recipes=recipes)
    assert again == names
    assert said.endswith(": " + ", ".join(sorted(f"digits {name}" for name in names)))
    after = json.loads((tmp_path / "models.json").read_text())
    other = {entry["name"] for entry in after if entry["made_by"] != before[entry["name"]]}
    assert other == {f"digits {name}" for name in names}
    assert trained_again(tmp_path, recipes=recipes) == (set(), [])


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(training, "_data_sha256", "other files"), (made_by, "_code", "other code")],
)
def test_other_data_and_other_code_are_other_models(tmp_path, monkeypatch, module, name, value):
    train(tmp_path, FakeCrew())
    monkeypatch.setattr(module, name, lambda *_: value)
    again, said = trained_again(tmp_path)
    assert again == {one.name for one in RECIPES}
    assert len(said) == 1


def test_data_that_are_gone_change_nothing(tmp_path, monkeypatch):
    train(tmp_path, FakeCrew())
    monkeypatch.setattr(training, "_data_sha256", lambda name: None)
    assert trained_again(tmp_path) == (set(), [])


def test_a_changed_file_is_trained_anew(tmp_path):
    train(tmp_path, FakeCrew())
    for seed in range(2):
        (tmp_path / "models" / f"digits-a-{seed}.safetensors").write_text("another")
    again, (said,) = trained_again(tmp_path)
    assert again == {"a"}
    assert said.endswith(": digits a")


def test_a_run_that_does_not_say_what_made_its_models_trains_them_anew(tmp_path):
    train(tmp_path, FakeCrew())
    path = tmp_path / "learned.csv"
    pd.read_csv(path).drop(columns="made_by").to_csv(path, index=False)
    again, said = trained_again(tmp_path, labels=["digits a"])
    assert again == {"a"}
    assert len(said) == 1
    assert path.read_text().startswith(",".join(LEARNED_COLUMNS) + "\n")


def test_a_model_that_cannot_be_trained_anew_is_gone(tmp_path):
    train(tmp_path, FakeCrew())
    (tmp_path / "models" / "digits-a-0.safetensors").unlink()
    entries = train(tmp_path, FakeCrew(failing=["digits a"]))
    assert "nan" in next(entry["missing"] for entry in entries if entry["name"] == "digits a")


@pytest.mark.parametrize("trouble", ["failing", "losing"])
@pytest.mark.parametrize("width", [1, 2])
def test_what_cannot_be_trained_spoils_its_descendants_alone(tmp_path, trouble, width):
    crew = FakeCrew(**{trouble: ["digits b"]})
    entries = {entry["name"]: entry.get("missing", "") for entry in train(tmp_path, crew, width)}
    assert not entries["digits a"]
    assert "nan" in entries["digits b"] or "killed" in entries["digits b"]
    assert entries["digits smaller"].startswith("digits b, 90 % zeros could not be trained")
    assert len(learned(tmp_path)) == 2


def test_slugs_are_names_of_files():
    assert slug("mnist cnn 16-32, 90 % zeros") == "mnist-cnn-16-32-90-zeros"
