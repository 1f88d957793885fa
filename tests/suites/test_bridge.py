"""The suites as pytest sees them: pytest-benchmark's own options work on what was measured."""

import json
from pathlib import Path

import pytest

import convgrad.suites

SUITE = Path(convgrad.suites.__file__).parent / "bench_convolve_1d.py"
PLANTED = "--import=convgrad.suites.certify.planted"
FEW = ("--preset=smoke", PLANTED, "--kernel=planted_right", "--kernel=numpy")


@pytest.fixture
def suite(python, tmp_path):
    """Run pytest on one suite in an empty folder."""

    def run(*options, kernels=FEW, **variables):
        return python(
            "pytest",
            *("-p", "no:cacheprovider", f"--rootdir={SUITE.parent}", "--import-mode=importlib"),
            *("-o", "python_files=bench_*.py", "-o", "python_functions=bench*", "-o", "addopts="),
            *(SUITE, *kernels, *options),
            cwd=tmp_path,
            **variables,
        )

    return run


def test_options_of_pytest_benchmark(suite, tmp_path):
    first = suite("--benchmark-json=one.json", "--benchmark-autosave", "-k", "taps:33")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "numpy" in first.stdout
    names = {
        b["params"]["kernel"] for b in json.loads((tmp_path / "one.json").read_text())["benchmarks"]
    }
    assert names == {"numpy", "planted_right"}
    runs = list((tmp_path / "results" / "runs").iterdir())
    assert len(runs) == 1
    assert (runs[0] / "report.html").exists()

    second = suite(
        *("--benchmark-compare", "--benchmark-histogram=shape", "-k", "taps:33"),
        *("--benchmark-group-by=param:threads", "--out=second"),
    )
    assert second.returncode == 0, second.stdout + second.stderr
    assert "(0001" in second.stdout
    assert list(tmp_path.glob("shape*.svg"))


def test_disabled_benchmarks_check_correctness_only(suite, tmp_path):
    kernels = (
        "--preset=smoke",
        PLANTED,
        "--kernel=planted_right",
        "--kernel=planted_wrong",
    )
    done = suite("--benchmark-disable", kernels=kernels)
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "times the bound" in done.stdout
    assert not (tmp_path / "results").exists()


def test_collecting_measures_nothing(suite, tmp_path):
    done = suite("--collect-only", "-q")
    assert done.returncode == 0
    assert "signal:10000,taps:33,float32" in done.stdout
    assert not (tmp_path / "results").exists()


def test_tracer_is_refused(suite, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.settrace(lambda *_: None)\n")
    done = suite(PYTHONPATH=str(tmp_path), kernels=("--preset=smoke", "--kernel=numpy"))
    assert done.returncode == 4
    assert "tracer" in done.stderr


def test_xdist_is_refused(suite, tmp_path):
    (tmp_path / "parallel.py").write_text(
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--fake-n', dest='numprocesses', default=2)\n"
    )
    done = suite("-p", "parallel", PYTHONPATH=str(tmp_path), kernels=("--preset=smoke",))
    assert done.returncode == 4
    assert "xdist" in done.stderr


def test_variables_that_hold_a_peer_back_are_taken_out_and_named(suite, tmp_path):
    done = suite("-k", "taps:33", "--out=run", OPENBLAS_CORETYPE="Haswell")
    assert done.returncode == 0, done.stdout + done.stderr
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["environment_taken_out"]["OPENBLAS_CORETYPE"] == "Haswell"
