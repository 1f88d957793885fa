"""Faults planted in real runs, and run folders that somebody has damaged."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from convgrad.results.store import Run
from convgrad.suites.certify.faults import FAULTS, attempt
from convgrad.suites.cli import app

KEY = {
    "operation": "convolve",
    "case": "signal=9,taps=3,float32",
    "threads": 1,
    "cache": "warm",
    "call": "plain",
}
FILES = ("run.json", "journal.jsonl", "samples.csv")


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """What came of all faults: two are tried at a time, for time is not measured here."""
    folder = tmp_path_factory.mktemp("faults")
    places = [folder / fault.name.replace(" ", "-") for fault in FAULTS]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip([fault.name for fault in FAULTS], pool.map(attempt, FAULTS, places)))


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_fault_costs_one_cell_at_most_and_one_line(trials, fault):
    assert trials[fault.name].complaints == []
    assert trials[fault.name].lost <= fault.lost <= 1


@pytest.fixture
def folder(tmp_path):
    """A run folder of two kernels with a few samples."""
    with Run.create(tmp_path / "run", preset="smoke", options={"suites": []}) as run:
        for kernel in ("numpy", "scipy"):
            samples = [
                {
                    **KEY,
                    **{"kernel": kernel, "process": 0, "round": turn, "position": 0, "loops": 1},
                    **{"wall_ns": 1e6 + turn, "cpu_ns": 1e6},
                }
                for turn in range(6)
            ]
            fact = {"dtype": "float32", "status": "ok", "sizes": {"signal": 9, "taps": 3}}
            run.append(samples, [{**KEY, "kernel": kernel, **fact, "baseline": kernel == "numpy"}])
    return tmp_path / "run"


def convgrad(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def cut(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "damage", [cut, lambda old: b"", lambda old: b"[1]", lambda old: b"\xff\0"]
)
@pytest.mark.parametrize("command", [("report",), ("run", "--resume")])
def test_damaged_facts_of_the_run_are_one_line(folder, command, damage):
    path = folder / "run.json"
    path.write_bytes(damage(path.read_bytes()))
    before = {name: (folder / name).read_bytes() for name in FILES}
    done = convgrad(*command, folder)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "run.json" in done.stderr
    assert {name: (folder / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize("options", [None, [], {"suites": 3}, {"kernel": "numpy"}])
def test_damaged_options_of_the_run_are_one_line(folder, options):
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "options": options}))
    done = convgrad("run", "--resume", folder)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "options" in done.stderr


@pytest.mark.parametrize("name", ["journal.jsonl", "samples.csv"])
@pytest.mark.parametrize("command", [("report",), ("run", "--resume")])
def test_damage_within_the_facts_is_one_line_and_changes_nothing(folder, command, name):
    path = folder / name
    lines = path.read_text().splitlines(keepends=True)
    lines[0 if name == "journal.jsonl" else 4] = '"""' + bytes(8).decode() + "\n"
    path.write_text("".join(lines))
    before = {name: (folder / name).read_bytes() for name in FILES}
    done = convgrad(*command, folder)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert name in done.stderr
    assert {name: (folder / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize("tail", [b"convolve,half a li", b'{"operation": "conv', bytes(100)])
@pytest.mark.parametrize("name", ["journal.jsonl", "samples.csv"])
def test_torn_end_is_as_if_it_were_not_there(folder, name, tail):
    before = Run.open(folder).samples()
    with open(folder / name, "ab") as file:
        file.write(tail)
    assert convgrad("report", folder).exit_code == 0
    assert Run.open(folder).samples().equals(before)


def test_samples_that_are_gone_leave_a_report(folder):
    (folder / "samples.csv").unlink()
    assert convgrad("report", folder).exit_code == 0


def test_report_that_cannot_be_written_is_one_line(folder):
    shutil.rmtree(folder / "plots", ignore_errors=True)
    (folder / "cells.csv").mkdir()
    done = convgrad("report", folder)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "cells.csv" in done.stderr


def test_second_run_into_a_folder_is_refused_in_one_line(folder, python):
    path = folder / "run.json"
    options = {"preset": "smoke", "suites": ["convolve_1d"], "kernel": ["numpy"], "threads": [1]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "options": options}))
    with Run.open(folder, write=True):
        before = {name: (folder / name).read_bytes() for name in FILES}
        done = python("convgrad.suites.cli", "run", f"--resume={folder}")
        assert done.returncode != 0
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "no other process is writing" in done.stderr
        assert {name: (folder / name).read_bytes() for name in FILES} == before


def test_run_where_nothing_can_be_written_is_one_line(python, tmp_path):
    (tmp_path / "file").write_text("")
    arguments = ("run", "--preset=smoke", "--suite=convolve_1d", "--kernel=numpy", "--threads=1")
    done = python("convgrad.suites.cli", *arguments, f"--out={tmp_path / 'file' / 'run'}")
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert str(tmp_path / "file") in done.stderr
