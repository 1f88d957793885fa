"""`convgrad choose` from a run of the smallest study: what it prints, saves and refuses."""

import shutil

import numpy as np
import pandas as pd
import pytest

from convgrad.kernels import datasets
from convgrad.kernels.models import load
from convgrad.suites.choose import newest_run

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def run(convgrad, tmp_path_factory):
    """A smoke run of three models, and the ones that they are made from."""
    path = tmp_path_factory.mktemp("runs") / "run"
    names = ("digits softmax", "digits mlp 16", "digits mlp 16, 8 bits")
    chosen = [f"--kernel={name}" for name in names]
    done = convgrad("run", "--preset=smoke", "--suite=budget", *chosen, f"--out={path}")
    assert done.returncode == 0, done.stderr
    assert "digits mlp 16, 8 bits" in done.stdout
    return path


def test_models_are_cells_with_what_they_have_learned(run):
    cells = pd.read_csv(run / "cells.csv").set_index("model")
    assert set(cells.index) == {"softmax", "mlp 16", "mlp 16, 8 bits"}
    assert (cells.status == "ok").all()
    assert (cells.error_ratio < 1).all()
    assert (cells.median_s > 0).all()
    assert cells.seeds.tolist() == [2, 2, 2]
    assert cells.parameters["softmax"] == 650
    assert cells.file_bytes["mlp 16, 8 bits"] < cells.file_bytes["mlp 16"]
    for name, size in cells.file_bytes.items():
        file = run / "models" / f"digits-{name.replace(', ', '-').replace(' ', '-')}-0.safetensors"
        assert file.stat().st_size == size
    assert cells.gain["mlp 16, 8 bits"] == pytest.approx(
        cells.accuracy["mlp 16, 8 bits"] - cells.accuracy["mlp 16"], abs=1e-5
    )


def test_the_best_within_limits_is_saved(convgrad, run, tmp_path):
    arguments = ("choose", "--data=digits", f"--run={run}")
    done = convgrad(*arguments, "--max-parameters=700", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "saved softmax as digits-softmax.safetensors" in done.stdout
    model, test = load(tmp_path / "digits-softmax.safetensors"), datasets.load("digits").test
    learned = pd.read_csv(run / "learned.csv")
    row = learned[(learned.model == "softmax") & (learned.seed == 0)].iloc[0]
    assert model.accuracy(*test) == pytest.approx(row.accuracy)


def test_a_resumed_run_trains_anew_what_is_another_file(convgrad, run, tmp_path):
    resumed = shutil.copytree(run, tmp_path / "run")
    files = [resumed / "models" / f"digits-softmax-{seed}.safetensors" for seed in range(2)]
    trained = files[0].read_bytes()
    shutil.copy(files[1], files[0])
    done = convgrad("run", f"--resume={resumed}")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("trained anew")]
    assert len(said) == 1
    assert said[0].endswith(": digits softmax")
    assert files[0].read_bytes() == trained
    before, after = ((path / "samples.csv").read_text() for path in (run, resumed))
    assert after == before  # the very same model, to the bit: its times hold


def test_a_run_of_another_preset_is_none_to_choose_from(run):
    found, models = newest_run("digits", "smoke", run.parent)
    assert found.path == run
    assert set(models.model) == {"softmax", "mlp 16", "mlp 16, 8 bits"}
    assert newest_run("digits", "laptop", run.parent) is None
    assert newest_run("mnist", "smoke", run.parent) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--max-kb=0.001",), ("limits", "3 models", "kB")),
        (("--max-ms=-1",), ("--max-ms", "-1")),
        (("--data=nothing",), ("--data", "nothing", "digits")),
        (("--out=/no/such/folder/model",), ("/no/such/folder/model",)),
    ],
)
def test_what_cannot_be_is_one_sentence(convgrad, run, tmp_path, arguments, words):
    done = convgrad("choose", "--data=digits", f"--run={run}", *arguments, cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout
    assert all(word in done.stderr for word in words), done.stderr
    assert not np.any(list(tmp_path.iterdir()))
