import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from convgrad.results.schema import KEY as KEY_COLUMNS
from convgrad.results.schema import SAMPLE_COLUMNS, SPIN, TWIN
from convgrad.results.store import CannotWrite, Run

KEY = {
    "operation": "convolve",
    "case": "signal=9,taps=3,float32",
    "threads": 2,
    "cache": "warm",
    "call": "plain",
}


def sample(kernel="numpy", **changes):
    rest = {"process": 0, "round": 0, "position": 0, "loops": 5, "wall_ns": 100, "cpu_ns": 90}
    return {**KEY, "kernel": kernel, **rest, **changes}


def fact(kernel="numpy", **changes):
    return {**KEY, "kernel": kernel, "status": "ok", **changes}


def key(kernel="numpy", **changes):
    return tuple({**KEY, "kernel": kernel, **changes}[name] for name in KEY_COLUMNS)


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


def test_facts_with_an_identity_start_their_cell_anew(run):
    run.append([], [fact(identity="a", error_ratio=0.5), fact("scipy", identity="a")])
    run.append([], [fact(compile_s=1.0)])
    run.append([], [fact(identity="b")])
    run.append([], [fact(load_s=2.0)])
    assert run.facts() == [fact(identity="b", load_s=2.0), fact("scipy", identity="a")]


def test_evidence_is_kept_with_its_block(run):
    names = ["numpy", TWIN, SPIN]
    other = {"case": "signal=99,taps=3,float32"}
    run.append([sample(name, **where) for where in ({}, other) for name in names], [fact()])
    for table in (run.samples(), Run.open(run.path).samples()):
        assert table.kernel.tolist() == names
        assert table.case.unique().tolist() == [KEY["case"]]
    run.append([], [fact(**other)])
    assert run.samples().kernel.tolist() == names * 2


def test_a_run_older_than_cache_and_call_is_warm_and_plain_and_can_be_continued(run):
    run.append([sample()], [fact()])
    path = run.path / "samples.csv"
    path.write_text(path.read_text().replace(",warm,plain", "").replace(",cache,call", ""))
    path = run.path / "journal.jsonl"
    path.write_text(path.read_text().replace(', "cache": "warm", "call": "plain"', ""))
    run.close()
    assert run.facts() == [fact()]
    assert run.samples()[["cache", "call"]].to_numpy().tolist() == [["warm", "plain"]]
    with Run.open(run.path, write=True) as again:
        again.append([sample(cache="cold")], [fact(cache="cold")])
        assert again.samples().cache.tolist() == ["warm", "cold"]
        assert tuple(again.samples().columns) == SAMPLE_COLUMNS


def test_discarded_cells_are_gone_and_can_be_measured_again(run):
    run.append([sample(), sample("scipy"), sample(TWIN)], [fact(identity="a"), fact("scipy")])
    run.discard([key()])
    assert run.facts() == [fact("scipy")]
    assert run.samples().kernel.tolist() == ["scipy", TWIN]
    run.append([sample(wall_ns=7)], [fact(identity="b")])
    assert run.samples().wall_ns.tolist() == [100, 100, 7]
    assert run.facts() == [fact("scipy"), fact(identity="b")]
    run.discard([key(), key("scipy")])
    assert run.samples().empty
    assert run.facts() == []


def test_discarding_that_is_cut_short_leaves_no_samples_of_unknown_origin(run, monkeypatch):
    run.append([sample()], [fact()])

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            run.discard([key()])
    assert run.samples().empty
    assert run.facts() == []


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
        key = {"operation": "o", "case": "c", "threads": 1, "cache": "warm", "call": "plain"}
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
    with pytest.raises(CannotWrite, match="disk full"):
        run.update(state="interrupted")
    assert json.loads((run.path / "run.json").read_text())["state"] == "finished"
    assert not list(run.path.glob("*.new"))


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
        ([], [{"kernel": "numpy"}], "got no operation, case, threads, cache"),
        ([], [fact(status="fine")], "status: got 'fine', expected one of ok, wrong"),
    ],
)
def test_odd_rows_are_refused_before_anything_is_written(run, samples, facts, message):
    with pytest.raises(ValueError, match=message):
        run.append(samples, facts)
    assert {path.name for path in run.path.iterdir()} == {"run.json", "lock"}


def test_a_damaged_journal_is_located(run):
    run.append([], [fact(), fact("scipy")])
    text = (run.path / "journal.jsonl").read_text()
    (run.path / "journal.jsonl").write_text(text.replace("{", "#", 1))
    with pytest.raises(ValueError, match="line 1 is no fact"):
        run.facts()


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
def test_a_second_writer_is_refused_until_the_first_lets_go(run):
    with pytest.raises(ValueError, match="no other process is writing") as error:
        Run.open(run.path, write=True)
    assert str(error.value) == (
        f"run folder: got {run.path}, expected one that no other process is writing "
        f"(process {os.getpid()} is)"
    )
    assert Run.open(run.path).facts() == []  # who reads needs no lock
    run.close()
    run.close()
    with Run.open(run.path, write=True), pytest.raises(ValueError, match="no other process"):
        Run.open(run.path, write=True)
    Run.open(run.path, write=True).append([sample()], [fact()])
    Run.open(run.path, write=True).close()  # a run that nobody holds any more is let go


def test_a_folder_that_cannot_be_understood_is_let_go(run):
    run.append([], [fact()])
    run.close()
    content = (run.path / "journal.jsonl").read_bytes()
    run.append([sample()])
    (run.path / "journal.jsonl").write_bytes(b"{\n")
    with pytest.raises(ValueError, match="no fact") as error:  # noqa: F841, keeps the frames alive
        Run.open(run.path, write=True)
    (run.path / "journal.jsonl").write_bytes(content)
    Run.open(run.path, write=True).close()


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_writer_lets_go_though_its_children_live(tmp_path, how):
    writer = textwrap.dedent(
        """
        import subprocess, sys, time
        from convgrad.results.store import Run
        run = Run.create(sys.argv[1])
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid, flush=True)
        time.sleep(60)
        """
    )
    path = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", writer, str(path)], stdout=subprocess.PIPE, text=True
    )
    child = int(process.stdout.readline())
    try:
        with pytest.raises(ValueError, match=rf"\(process {process.pid} is\)"):
            Run.open(path, write=True)
        os.kill(process.pid, how)
        process.wait(timeout=30)
        Run.open(path, write=True).close()
    finally:
        os.kill(child, signal.SIGKILL)


def test_systems_without_locks_can_write(tmp_path, monkeypatch):
    monkeypatch.setattr("convgrad.results.durable.fcntl", None)
    Run.create(tmp_path / "run").append([sample()], [fact()])
    with Run.open(tmp_path / "run", write=True) as run:
        assert len(Run.open(run.path, write=True).samples()) == 1
