import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from convgrad.results.schema import SAMPLE_COLUMNS
from convgrad.results.store import Run

KEY = {"operation": "convolve", "case": "signal=9,taps=3,float32", "threads": 2}


def sample(kernel="numpy", **changes):
    rest = {"process": 0, "round": 0, "position": 0, "loops": 5, "wall_ns": 100, "cpu_ns": 90}
    return {**KEY, "kernel": kernel, **rest, **changes}


def fact(kernel="numpy", **changes):
    return {**KEY, "kernel": kernel, "status": "ok", **changes}


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", command="convgrad run")


def test_what_is_appended_is_read_back(run):
    run.append([sample(), sample(round=1, wall_ns=120)], [fact(sizes={"signal": (9,)})])
    table = Run.open(run.path).samples()
    assert tuple(table.columns) == SAMPLE_COLUMNS
    assert table.wall_ns.tolist() == [100, 120]
    assert table.case.unique().tolist() == [KEY["case"]]  # commas and all
    assert Run.open(run.path).facts() == [fact(sizes={"signal": [9]})]


def test_later_facts_are_merged_over_earlier_ones(run):
    run.append([], [fact(compile_s=1.0), fact("scipy")])
    run.append([], [fact(peak_bytes=np.int64(4096), compile_s=2.0)])
    assert run.facts() == [fact(compile_s=2.0, peak_bytes=4096), fact("scipy")]


@pytest.mark.parametrize("name", ["null", "nan", "NA", "1e5", "a,b", 'say "so"', "é"])
def test_any_name_survives(run, name):
    run.append([sample(name, cpu_ns="")], [fact(name)])
    table = run.samples()
    assert table.kernel.tolist() == [name]
    assert table.cpu_ns.isna().all()


def test_samples_without_a_journal_line_are_ignored_and_discarded(run):
    run.append([sample(), sample("killed")], [fact()])
    assert run.samples().kernel.tolist() == ["numpy"]
    run.discard_unfinished()
    assert "killed" not in (run.path / "samples.csv").read_text()
    assert run.samples().kernel.tolist() == ["numpy"]
    run.append([sample("killed", round=3)], [fact("killed")])
    assert run.samples()["round"].tolist() == [0, 3]


@pytest.mark.parametrize("name", ["samples.csv", "journal.jsonl"])
def test_a_file_cut_anywhere_can_be_read_and_continued(run, name):
    run.append([sample(), sample(round=1)], [fact(detail="a, b")])
    path = run.path / name
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 9), *range(len(whole) - 12, len(whole))]:
        path.write_bytes(whole[:length])
        assert len(run.samples()) <= 2
        assert len(run.facts()) <= 1
        run.append([sample("late")], [fact("late")])
        assert "late" in run.samples().kernel.tolist()
        assert run.facts()[-1] == fact("late")
        (run.path / "samples.csv").write_bytes(whole if name == "samples.csv" else b"")
        (run.path / "journal.jsonl").write_bytes(whole if name == "journal.jsonl" else b"")


def test_discarding_cuts_torn_lines(run):
    run.append([sample()], [fact()])
    for name in ("samples.csv", "journal.jsonl"):
        path = run.path / name
        before = path.read_bytes()
        path.write_bytes(before + b'convolve,"sig')
        run.discard_unfinished()
        assert path.read_bytes() == before


def test_a_killed_writer_leaves_whole_cells(tmp_path):
    writer = textwrap.dedent(
        """
        import sys
        from convgrad.results.store import Run
        run = Run.create(sys.argv[1])
        key = {"operation": "o", "case": "c", "threads": 1}
        rest = dict.fromkeys(["process", "position", "loops", "wall_ns", "cpu_ns"], 1)
        for kernel in map(str, range(10**9)):
            rows = [{**key, "kernel": kernel, "round": r, **rest} for r in range(50)]
            run.append(rows, [{**key, "kernel": kernel, "status": "ok"}])
        """
    )
    path = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", writer, str(path)])
    journal = path / "journal.jsonl"
    deadline = time.monotonic() + 30
    while not (journal.exists() and journal.stat().st_size > 500) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run = Run.open(path)
    assert run.info["state"] == "running"
    assert len(run.facts()) > 3
    assert set(run.samples().groupby("kernel").size()) == {50}
    assert run.samples().kernel.nunique() == len(run.facts())


def test_run_json_is_replaced_as_a_whole(run, monkeypatch):
    run.update(state="finished", roofs=[{"flops_per_s": np.float32(2)}])
    assert Run.open(run.path).info["roofs"] == [{"flops_per_s": 2.0}]

    def full(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        run.update(state="interrupted")
    assert json.loads((run.path / "run.json").read_text())["state"] == "finished"


def test_an_empty_run_reads_as_empty(run):
    assert run.samples().empty
    assert run.facts() == []
    run.discard_unfinished()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a folder with run.json"),
        (b"{", "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        (b"[]", "expected an object, got list"),
    ],
)
def test_what_is_no_run_is_named_in_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        Run.open(tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_folder_in_use_is_not_taken(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="expected one that is new or empty"):
        Run.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="expected a place that can be written"):
        Run.create(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("samples", "facts", "message"),
    [
        ([{**sample(), "extra": 1}], [], "'extra'"),
        ([{"kernel": "numpy"}], [], "'case'"),
        ([], [{"kernel": "numpy"}], "got no operation, case, threads"),
        ([], [fact(status="fine")], "status: got 'fine', expected one of ok, wrong"),
    ],
)
def test_odd_rows_are_refused_before_anything_is_written(run, samples, facts, message):
    with pytest.raises(ValueError, match=message):
        run.append(samples, facts)
    assert [path.name for path in run.path.iterdir()] == ["run.json"]


def test_a_damaged_journal_is_located(run):
    run.append([], [fact(), fact("scipy")])
    text = (run.path / "journal.jsonl").read_text()
    (run.path / "journal.jsonl").write_text(text.replace("{", "#", 1))
    with pytest.raises(ValueError, match="line 1 is no fact"):
        run.facts()
