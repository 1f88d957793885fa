"""`convgrad run --against`: another version of the kernels competes in the same blocks."""

import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import convgrad.kernels
from convgrad.results.store import Run
from convgrad.suites.against import unpack

KERNELS = Path(convgrad.kernels.__file__).parent
QUICK = ("run", "--preset=smoke", "--suite=convolve_1d", "--kernel=numpy", "--threads=1")
SLEEP_S = 0.002


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout in which the NumPy kernel sleeps for 2 ms."""
    checkout = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(KERNELS, checkout / "kernels", ignore=ignored)
    path = checkout / "kernels" / "convolution" / "convolve_numpy.py"
    before, body = path.read_text().rsplit("\n    return ", 1)
    path.write_text(f"{before}\n    __import__('time').sleep({SLEEP_S})\n    return {body}")
    return checkout


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    """The same as a wheel."""
    path = tmp_path_factory.mktemp("wheels") / "convgrad-0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (checkout / "kernels").rglob("*.py"):
            archive.write(file, Path("convgrad") / file.relative_to(checkout))
        archive.writestr("convgrad/suites/cli.py", "not to be measured with")
    return path


@pytest.mark.parametrize("kind", ["checkout", "wheel"])
def test_kernels_and_nothing_else_are_taken(kind, request, tmp_path):
    unpack(request.getfixturevalue(kind), tmp_path)
    found = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.py")}
    expected = {
        Path("convgrad") / "kernels" / p.relative_to(KERNELS) for p in KERNELS.rglob("*.py")
    }
    assert found == expected


@pytest.mark.parametrize("kind", ["folder", "file", "nothing", "zip"])
def test_anything_else_is_one_sentence(kind, tmp_path):
    source = tmp_path / "other.whl"
    if kind == "folder":
        source.mkdir()
    elif kind == "file":
        source.write_text("no wheel")
    elif kind == "zip":
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("else/kernels/registry.py", "")
    with pytest.raises(ValueError, match="--against: got .*other.whl, expected a wheel or check"):
        unpack(source, tmp_path / "target")


def test_bad_path_is_one_line_and_leaves_nothing(convgrad, tmp_path):
    done = convgrad(*QUICK, "--against=/no/such/folder", f"--out={tmp_path / 'run'}")
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "--against: got /no/such/folder" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def run(convgrad, checkout, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    done = convgrad(*QUICK, f"--against={checkout}", f"--out={path}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return Run.open(path)


def test_both_versions_are_measured_in_one_block(run):
    cells = pd.read_csv(run.path / "cells.csv").set_index("kernel")
    assert set(cells.index) == {"numpy", "numpy@against"}
    assert set(cells.status) == {"ok"}
    slower = cells.median_s["numpy@against"] - cells.median_s["numpy"]
    assert SLEEP_S <= slower < 3 * SLEEP_S
    samples = run.samples()
    rounds = samples[~samples.kernel.str.contains(" ")].groupby("round").kernel.nunique()
    assert rounds.max() == 2


def test_changed_version_is_measured_anew_on_resumption(convgrad, checkout, run):
    old = {fact["kernel"]: fact["identity"] for fact in run.facts()}
    before = run.samples()
    path = checkout / "kernels" / "convolution" / "convolve_numpy.py"
    path.write_text(path.read_text().replace(str(SLEEP_S), "0.004"))
    done = convgrad("run", f"--resume={run.path}")
    assert done.returncode == 0, done.stderr
    new = {fact["kernel"]: fact["identity"] for fact in Run.open(run.path).facts()}
    assert new["numpy"] == old["numpy"]
    assert new["numpy@against"] != old["numpy@against"]
    cells = pd.read_csv(run.path / "cells.csv").set_index("kernel")
    assert cells.median_s["numpy@against"] >= 0.004
    kept = Run.open(run.path).samples()
    own = before[before.kernel == "numpy"].wall_ns
    assert set(own) <= set(kept[kept.kernel == "numpy"].wall_ns)


def test_wheel_is_measured_too(convgrad, wheel, tmp_path):
    done = convgrad(*QUICK, f"--against={wheel}", f"--out={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    cells = pd.read_csv(tmp_path / "run" / "cells.csv").set_index("kernel")
    assert cells.median_s["numpy@against"] >= SLEEP_S
