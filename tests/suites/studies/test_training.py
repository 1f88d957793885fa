"""Training of a run's models: order, what is kept, what is gone on with, what fails."""

import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from convgrad.results.learned import learned
from convgrad.results.schema import LEARNED_COLUMNS
from convgrad.suites.studies.study import Study
from convgrad.suites.studies.training import Training, slug
from convgrad.suites.workers.process import Lost


def recipe(name, base="", data="digits"):
    return SimpleNamespace(name=name, base=base, data=data, family="dense", label=f"{data} {name}")


RECIPES = (
    recipe("a"),
    recipe("b"),
    recipe("b, 90 % zeros", "b"),
    recipe("smaller", "b, 90 % zeros"),
)
STUDY = Study("tried", {"smoke": RECIPES}, {"smoke": 2})


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
        row = dict.fromkeys(LEARNED_COLUMNS, 1)
        data, _, name = label.partition(" ")
        return row | {"data": data, "model": name, "seed": seed, "base": "", "compared_to": ""}


def train(folder, crew, width=2, labels=("digits a", "digits smaller")):
    training = Training(folder, "smoke")
    training.add("mine", STUDY, labels)
    return json.loads(training.run(crew, width).read_text())


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
