"""A run folder that was cut, damaged or cannot be written: one sentence, and no loss."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convgrad.results.schema import KEY as KEY_COLUMNS
from convgrad.results.store import CannotWrite, Run

KEY = {
    "operation": "convolve",
    "case": "signal=9,taps=3,float32",
    "threads": 2,
    "cache": "warm",
    "call": "plain",
}
FILES = ("run.json", "samples.csv", "journal.jsonl")


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


def append_after_power_cut(run, name, tail):
    path = run.path / name
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert run.samples().kernel.tolist() == ["numpy"]
    assert run.facts() == [fact()]
    run.append([sample("late")], [fact("late")])
    assert path.read_bytes().startswith(whole)
    assert run.samples().kernel.tolist() == ["numpy", "late"]
    assert run.facts() == [fact(), fact("late")]


@pytest.mark.parametrize("name", ["samples.csv", "journal.jsonl"])
@pytest.mark.parametrize("tail", [b"\0" * 4096, b"conv\0\0", b"\0conv"])
def test_zeros_that_a_power_cut_leaves_are_cut(run, name, tail):
    run.append([sample()], [fact()])
    append_after_power_cut(run, name, tail)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("samples.csv", b"\x00\xff\xfe\n", "samples.csv in .*: "),
        ("samples.csv", b"\n", "got no column operation"),
        ("samples.csv", b"operation,case\na,b\n", "got no column kernel, threads, process"),
        ("samples.csv", b'"operation\n', "got no column"),
        ("samples.csv", b"HEADa,b,c,2,warm,plain,0,0,0,1,x,1\n", "samples.csv in .*: .*'?x'?"),
        ("samples.csv", b"HEADa,b,c,2,warm,plain,0\n", "samples.csv in .*: "),
        ("samples.csv", b"HEADa,b,c,2,warm,plain,0,0,0,1,1,1,9\n", "samples.csv in .*: "),
        ("samples.csv", b"OLDERa,b,c,2,0,0,0,1,1,1,9\n", "more than 10 fields"),
        ("samples.csv", b"HEADa,b,c,2,warm,plain,0,0,0,1,1,1\n\0\0\n", "got zeros in line 3"),
        (
            "samples.csv",
            b"HEADa,b,c,2,warm,plain,0,0,0,1%s,1,1\n" % (b"0" * 30),
            "samples.csv in .*",
        ),
        ("samples.csv", b"HEAD\xff,b,c,2,warm,plain,0,0,0,1,1,1\n", "samples.csv in .*: "),
        ("journal.jsonl", b"FACT\x9c\0 garbage\nFACT", "line 2 is no fact"),
        ("journal.jsonl", b"FACT\nFACT", "line 2 is no fact"),
        ("journal.jsonl", b"[]\n", "line 1 is no fact"),
        ("journal.jsonl", b"5\n", "line 1 is no fact"),
        ("journal.jsonl", b'{"operation": "a"}\n', "line 1 is no fact"),
        ("journal.jsonl", b"[" * 100000 + b"\n", "line 1 is no fact"),
        ("run.json", b"", "expected JSON"),
        ("run.json", b'{"state": "runn', "expected JSON"),
        ("run.json", b"\0" * 512, "expected JSON"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence_and_stays(run, name, content, message):
    run.append([sample()], [fact()])
    run.close()
    header = (run.path / "samples.csv").read_bytes().split(b"\n")[0] + b"\n"
    line = (run.path / "journal.jsonl").read_bytes()
    older = header.replace(b"cache,call,", b"")
    content = content.replace(b"HEAD", header).replace(b"OLDER", older).replace(b"FACT", line)
    (run.path / name).write_bytes(content)
    for write in (False, True):
        with pytest.raises(ValueError, match=message) as error:
            Run.open(run.path, write=write).samples()
        assert "\n" not in str(error.value)
        assert str(run.path) in str(error.value)
    assert (run.path / name).read_bytes() == content


def test_what_cannot_be_read_is_named(run):
    (run.path / "samples.csv").mkdir()
    with pytest.raises(ValueError, match="cannot read samples.csv in .*directory"):
        run.samples()


def test_files_that_are_missing_or_empty_hold_nothing(run):
    run.append([sample()], [fact()])
    for content in (b"", None):
        (run.path / "samples.csv").unlink()
        if content is not None:
            (run.path / "samples.csv").write_bytes(content)
        assert Run.open(run.path).samples().empty
        assert Run.open(run.path).facts() == [fact()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cuts=st.tuples(*[st.floats(0, 1)] * 3), zeros=st.integers(0, 3))
def test_whatever_is_whole_is_read(tmp_path_factory, cuts, zeros):
    kernels = ["numpy", "é", "a,b"]
    path = tmp_path_factory.mktemp("cut") / "run"
    with Run.create(path) as run:
        for name in kernels:
            run.append([sample(name), sample(name, round=1)], [fact(name)])
    lines = {}
    for name, cut in zip(FILES, cuts):
        content = (path / name).read_bytes()
        content = content[: round(cut * len(content))]
        lines[name] = content.count(b"\n")
        (path / name).write_bytes(content + b"\0" * zeros)
    try:
        run = Run.open(path, write=True)
    except ValueError as error:
        assert "run.json" in str(error)  # noqa: PT017
        return
    with run:
        known = kernels[: lines["journal.jsonl"]]
        assert [one["kernel"] for one in run.facts()] == known
        rows = [name for name in kernels for _ in range(2)][: max(lines["samples.csv"] - 1, 0)]
        assert run.samples().kernel.tolist() == [name for name in rows if name in known]
        run.append([sample("late")], [fact("late")])
        assert run.samples().kernel.tolist()[-1] == "late"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(FILES), at=st.floats(0, 1), garbage=st.binary(min_size=1, max_size=8))
def test_garbage_anywhere_is_a_value_error_or_is_read(tmp_path_factory, name, at, garbage):
    path = tmp_path_factory.mktemp("garbage") / "run"
    with Run.create(path) as run:
        run.append([sample(), sample(round=1)], [fact(detail="a")])
    content = (path / name).read_bytes()
    start = round(at * len(content))
    (path / name).write_bytes(content[:start] + garbage + content[start + len(garbage) :])
    try:
        run = Run.open(path)
        run.facts()
        run.samples()
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")


@needs_full
@pytest.mark.parametrize("name", ["samples.csv", "journal.jsonl"])
def test_a_full_disk_is_one_sentence(run, name):
    (run.path / name).symlink_to("/dev/full")
    with pytest.raises(CannotWrite) as error:
        run.append([sample()], [fact()])
    assert str(error.value) == (
        f"run folder: cannot write {name} in {run.path} (No space left on device); "
        "what was measured before is kept"
    )
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, OSError)


def test_a_disk_that_fills_up_in_the_middle_leaves_what_was_there(run, monkeypatch):
    run.append([sample()], [fact()])
    before = {name: (run.path / name).read_bytes() for name in FILES}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for write in (
            lambda: run.append([sample("late")], [fact("late")]),
            lambda: run.append([], [fact("late")]),
            lambda: run.discard([key()]),
            lambda: run.discard_unfinished(),
            lambda: run.update(state="finished"),
        ):
            with pytest.raises(CannotWrite, match="No space left on device"):
                write()
    assert {name: (run.path / name).read_bytes() for name in FILES} == before
    run.append([sample("late")], [fact("late")])
    assert run.samples().kernel.tolist() == ["numpy", "late"]


def test_a_folder_that_vanishes_is_one_sentence(run):
    run.append([sample()], [fact()])
    for path in run.path.iterdir():
        path.unlink()
    run.path.rmdir()
    for write in (lambda: run.append([sample()], [fact()]), lambda: run.update(state="finished")):
        with pytest.raises(CannotWrite, match="cannot write .*No such file or directory"):
            write()
