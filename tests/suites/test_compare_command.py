"""`convgrad compare`: what it says, what it writes, and with which status it ends."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from convgrad.results.store import Run
from convgrad.suites.cli import app

CELL = {
    "operation": "convolve",
    "case": "signal=9,taps=3,float32",
    "threads": 1,
    "cache": "warm",
    "call": "plain",
}
FACT = {"dtype": "float32", "status": "ok", "sizes": {"signal": 9}}
ABOUT = {"machine": {"cpu": "a cpu", "usable_cores": 2}, "libraries": {"numpy": "2.4.6"}}


@pytest.fixture
def new_run(tmp_path):
    """Make a run of three processes, with a time or a status by kernel."""

    def make(name, *, about=ABOUT, **kernels):
        with Run.create(tmp_path / name, **about) as run:
            for kernel, time in kernels.items():
                key = {**CELL, "kernel": kernel}
                if isinstance(time, str):
                    run.append([], [{**key, **FACT, "status": time}])
                    continue
                samples = [
                    {
                        **key,
                        **{"process": process, "round": turn, "position": 0, "loops": 10},
                        "wall_ns": time * 1e10 * (1 + 0.001 * ((process + 3 * turn) % 4)),
                        "cpu_ns": time * 1e10,
                    }
                    for process in range(3)
                    for turn in range(6)
                ]
                run.append(samples, [{**key, **FACT, "baseline": kernel == "numpy"}])
        return run.path

    return make


def compare(*arguments):
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_like_runs_end_with_0(new_run):
    done = compare(new_run("a", numpy=1e-3, scipy=2e-3), new_run("b", numpy=1e-3, scipy=2.01e-3))
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "cells: 0 faster, 0 slower, 2 same, 0 unresolved\n"
    assert done.stderr == ""


def test_faster_is_shown_and_ends_with_0(new_run):
    done = compare(new_run("a", numpy=1e-3, scipy=2e-3), new_run("b", numpy=1e-3, scipy=1e-3))
    assert done.exit_code == 0, done.stderr
    assert "faster" in done.stdout
    assert "scipy" in done.stdout
    assert "1 faster, 0 slower, 1 same" in done.stdout


@pytest.mark.parametrize(
    ("threshold", "code"),
    [((), 1), (("--threshold=20%",), 0), (("--threshold=0.05",), 1), (("--threshold", "5%"), 1)],
)
def test_slower_beyond_the_threshold_ends_with_1(new_run, threshold, code):
    done = compare(new_run("a", numpy=1e-3), new_run("b", numpy=1.1e-3), *threshold)
    assert done.exit_code == code, done.output
    assert ("1 slower" in done.stdout) == bool(code)


def test_what_fails_now_is_a_regression(new_run):
    runs = new_run("a", numpy=1e-3, scipy=1e-3), new_run("b", numpy=1e-3, scipy="crashed")
    done = compare(*runs)
    assert done.exit_code == 1
    assert "ok in A and crashed in B: 1 (convolve signal=9,taps=3,float32 scipy)" in done.stdout
    assert compare(*reversed(runs)).exit_code == 0


def test_cells_of_one_run_are_named_in_a_line(new_run):
    done = compare(new_run("a", numpy=1e-3, scipy=1e-3), new_run("b", numpy=1e-3, fft=1e-3))
    assert done.exit_code == 0
    assert "only in A: 1 (convolve signal=9,taps=3,float32 scipy)" in done.stdout
    assert "only in B: 1 (convolve signal=9,taps=3,float32 fft)" in done.stdout


def test_strangers_end_with_2_a_line_a_reason_unless_forced(new_run):
    about = {"machine": {"cpu": "other", "usable_cores": 2}, "libraries": {"numpy": "2.3.0"}}
    runs = new_run("a", numpy=1e-3), new_run("b", numpy=1e-3, about=about)
    done = compare(*runs)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "convgrad: cpu: got a cpu and other, expected the same",
        "convgrad: numpy: got 2.4.6 and 2.3.0, expected the same",
        "convgrad: the runs differ in more than time; --force compares them nevertheless",
    ]
    done = compare(*runs, "--force")
    assert done.exit_code == 0
    assert "1 same" in done.stdout


@pytest.mark.parametrize("bad", ["much", "5", "-1%", "nan", "100%", ""])
def test_a_bad_threshold_is_one_line(new_run, bad):
    run = new_run("a", numpy=1e-3)
    done = compare(run, run, f"--threshold={bad}")
    assert done.exit_code == 2
    assert done.stderr == (
        f"convgrad: --threshold: got {bad}, expected a share such as 0.05 or 5%\n"
    )


def test_folders_that_cannot_be_read_are_one_line(new_run, tmp_path):
    good, bad = new_run("a", numpy=1e-3), new_run("b", numpy=1e-3)
    for name, content in (("samples.csv", "a,b\n"), ("journal.jsonl", "x\n"), ("run.json", "")):
        whole = (bad / name).read_bytes()
        (bad / name).write_text(content)
        for runs in ((good, bad), (bad, good)):
            done = compare(*runs)
            assert done.exit_code == 2
            assert name in done.stderr
            assert done.stderr.count("\n") == 1
        (bad / name).write_bytes(whole)
    done = compare(good, tmp_path / "missing")
    assert done.exit_code == 2
    assert "missing" in done.stderr


def test_nothing_in_common_is_no_success(new_run):
    done = compare(new_run("a", numpy=1e-3), new_run("b", scipy=1e-3))
    assert done.exit_code == 2
    assert "no cell in common" in done.stderr


def test_tables_are_written(new_run, tmp_path):
    runs = new_run("a", numpy=1e-3, scipy=1e-3), new_run("b", numpy=2e-3, scipy="wrong")
    csv, html = tmp_path / "c.csv", tmp_path / "c.html"
    done = compare(*runs, f"--csv={csv}", f"--html={html}")
    assert done.exit_code == 1
    table = pd.read_csv(csv, keep_default_na=False)
    assert table.verdict.tolist() == ["slower", ""]
    assert float(table.ratio[0]) == pytest.approx(2, rel=0.01)
    page = html.read_text()
    assert "slower" in page
    assert "ok in A and wrong in B" in page
    done = compare(*runs, f"--csv={tmp_path / 'no' / 'c.csv'}")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1


def test_the_command_itself(convgrad, new_run):
    done = convgrad("compare", new_run("a", numpy=1e-3), new_run("b", numpy=2e-3))
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    assert "slower" in done.stdout
