"""What the identity of a cell depends on: its kernel's source, case, libraries and machine."""

import copy
import dataclasses
import importlib
import inspect
import json
import sys

import pytest

from convgrad.kernels import Case, registry
from convgrad.kernels.models import served
from convgrad.suites.measure.block import Block
from convgrad.suites.measure.identity import Identities

KERNEL = """
from convgrad.kernels import kernel
{imports}

@kernel("convolve", family="naive")
def {name}(signal, taps, *, mode):
    return {result}
"""
FIRST = KERNEL.format(imports="from mine.shared import half", name="first", result="half(signal)")
SECOND = KERNEL.format(imports="", name="second", result="signal")
SHARED = "from mine.deep import product\n\n\ndef half(signal):\n    return product(signal, 0.5)\n"
DEEP = "def product(signal, factor):\n    return signal * factor\n"
FILES = {"deep": DEEP, "shared": SHARED, "first": FIRST, "second": SECOND}
CASE = Case.of("convolve", "float32", signal=(1000,), taps=(9,))
BLOCK = Block(case=CASE, threads=1, kernels=("first", "second"), baseline="second")
HERE = Identities()


@pytest.fixture
def of(tmp_path, monkeypatch):
    """Identities of the cells of two kernels, which are imported from files as a run would."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine").mkdir()
    monkeypatch.setitem(registry._kernels, "convolve", dict(registry._kernels["convolve"]))

    def of(block=BLOCK, identities=None, **changed):
        for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
            monkeypatch.delitem(sys.modules, name)
        for name, text in ({"__init__": ""} | FILES | changed).items():
            (tmp_path / "mine" / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        for name in ("first", "second"):
            importlib.import_module(f"mine.{name}")
        return tuple((identities or HERE).of(block, name) for name in block.kernels)

    return of


def test_nothing_changed(of):
    assert of() == of()
    assert len(set(of())) == 2


@pytest.mark.parametrize(
    ("imports", "result"),
    [
        ("from mine import shared", "shared.half(signal)"),
        ("from mine.second import second", "second.function(signal, taps, mode=mode)"),
    ],
)
def test_modules_and_kernels_that_are_built_upon_count(of, imports, result):
    first = FIRST.replace("from mine.shared import half", imports).replace("half(signal)", result)
    before, _ = of(first=first)
    name = "shared" if "shared" in imports else "second"
    after, _ = of(first=first, **{name: FILES[name] + "# changed\n"})
    assert after != before


@pytest.mark.parametrize("shared", ["address", "fft", "lines", "vector", "vector.memory"])
def test_what_kernels_of_all_packages_compute_with_counts(of, monkeypatch, shared):
    imports = f"from convgrad.kernels import {shared.partition('.')[0]}"
    first = KERNEL.format(imports=imports, name="first", result="signal")
    before, _ = of(first=first)
    read, changed = inspect.getsource, f"convgrad.kernels.{shared}"
    monkeypatch.setattr(
        inspect, "getsource", lambda module: read(module) + "#" * (module.__name__ == changed)
    )
    assert of(first=first, identities=Identities())[0] != before


def test_changed_source_is_another_cell_of_this_kernel_only(of):
    first, second = of()
    changed = of(first=FIRST.replace("half(signal)", "half(signal) + 0"))
    assert changed[0] != first
    assert changed[1] == second


@pytest.mark.parametrize("name", ["shared", "deep"])
def test_so_is_a_changed_helper(of, name):
    first, second = of()
    changed = of(**{name: FILES[name] + "\n# quicker now\n"})
    assert changed[0] != first
    assert changed[1] == second


@pytest.mark.parametrize(
    "other",
    [
        {"threads": 2},
        {"cache": "cold"},
        {"case": Case.of("convolve", "float64", signal=(1000,), taps=(9,))},
        {"case": Case.of("convolve", "float32", signal=(1000,), taps=(10,))},
        {"case": dataclasses.replace(CASE, data="membrane-smooth")},
    ],
)
def test_other_circumstances_are_other_cells(of, other):
    assert not set(of()) & set(of(dataclasses.replace(BLOCK, **other)))


def test_competitors_do_not_matter(of):
    assert of(dataclasses.replace(BLOCK, kernels=("first",), baseline="first")) == of()[:1]


def test_versions_of_libraries_count_where_they_are_used(of):
    newer, other = copy.copy(HERE), copy.copy(HERE)
    newer.versions = {**newer.versions, "numpy": "99.0"}
    other.versions = {**other.versions, "torch": "99.0", "opencv-python-headless": "99.0"}
    assert not set(of()) & set(of(identities=newer))
    assert of() == of(identities=other)


def test_another_machine_is_another_cell(of):
    other = copy.copy(HERE)
    other.machine = [*other.machine, "cpu=another"]
    assert not set(of()) & set(of(identities=other))


def test_what_made_a_model_counts(tmp_path, monkeypatch):
    monkeypatch.setitem(registry._kernels, "predict", {})
    case = Case.of("predict", data="digits", shape=(1, 8, 8), classes=10)
    block = Block(case=case, threads=1, kernels=("mine",), baseline="mine")

    def made_by(text):
        entry = {"name": "mine", "family": "dense", "file": "mine.safetensors", "made_by": text}
        entry |= dict.fromkeys(("parameters", "flops", "bytes"), 1)
        (tmp_path / "models.json").write_text(json.dumps([entry]))
        registry._kernels["predict"].clear()
        served.serve(tmp_path / "models.json")
        return HERE.of(block, "mine")

    assert made_by("one recipe") == made_by("one recipe")
    assert made_by("one recipe") != made_by("another")


@pytest.mark.parametrize("module", ["cv2", "torch"])
def test_required_module_counts_by_its_distribution(module):
    pytest.importorskip(module)
    kernels = [k for k in registry.find("convolve") if module in k.requires]
    after = copy.copy(HERE)
    after.versions = HERE.versions | {name.lower(): "99" for name in HERE.distributions[module]}
    assert all(HERE.of(BLOCK, k.name) != after.of(BLOCK, k.name) for k in kernels)
    assert kernels
