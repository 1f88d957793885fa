"""The command as a user meets it: bad input, interruption, resumption, selection."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from convgrad.kernels import Case
from convgrad.results.store import Run
from convgrad.suites.certify import planted  # noqa: F401, registers kernels
from convgrad.suites.measure.block import Block
from convgrad.suites.measure.engine import OUT_OF_TIME
from convgrad.suites.measure.identity import Identities

PLANTED = "convgrad.suites.certify.planted"
QUICK = (
    *("run", "--preset=smoke", "--suite=convolve_1d", f"--import={PLANTED}"),
    *("--kernel=planted_right", "--kernel=numpy"),
)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--suite=nonsense"), ("--suite", "nonsense", "convolve_1d")),
        (("run", "--kernel=nonsense"), ("--kernel", "nonsense")),
        (("run", "--device=tpu"), ("--device", "tpu", "cuda")),
        (("run", "--threads=9999"), ("--threads", "9999")),
        (("run", "--minutes=0"), ("--minutes", "0.0", "positive")),
        (("run", "--import=no_such_module"), ("--import", "no_such_module")),
        (("run", "--preset=huge"), ("preset", "huge", "laptop")),
        (("run", "--resume=/no/such/folder"), ("/no/such/folder",)),
        (("report", "/no/such/folder"), ("/no/such/folder",)),
        (("list", "nonsense"), ("nonsense", "convolve")),
    ],
)
def test_bad_input_is_one_sentence(convgrad, tmp_path, arguments, words):
    done = convgrad(*arguments, cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout
    assert all(word in done.stderr for word in words), done.stderr
    assert not list(tmp_path.iterdir())


def test_list_names_kernels_and_says_why_not(convgrad):
    done = convgrad("list", "convolve")
    assert done.returncode == 0
    assert "numpy" in done.stdout
    assert "no CUDA device" in done.stdout.replace("\n", " ") or "cuda" not in done.stdout


def test_existing_folder_is_left_alone(convgrad, tmp_path):
    (tmp_path / "precious").write_text("data")
    done = convgrad(*QUICK, f"--out={tmp_path}")
    assert done.returncode != 0
    assert str(tmp_path) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_plain_lines_when_piped(convgrad, tmp_path):
    done = convgrad(*QUICK, f"--out={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "cells" in done.stdout
    assert "left" in done.stdout or "at most" in done.stdout


def test_interrupted_run_is_reported_and_resumed(convgrad, tmp_path):
    path = tmp_path / "run"
    arguments = (
        *QUICK,
        *("--dtype=float32", "--dtype=float64", "--threads=1", "--threads=2", f"--out={path}"),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "convgrad.suites.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What a shell starts in the background ignores interrupts, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (path / "journal.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == f"convgrad: interrupted; go on with: convgrad run --resume {path}\n"
    before = Run.open(path).samples()
    assert len(before)

    done = convgrad("report", path)
    assert done.returncode == 0, done.stderr
    assert (path / "report.html").exists()

    done = convgrad("run", f"--resume={path}")
    assert done.returncode == 0, done.stderr
    run = Run.open(path)
    assert run.info["state"] == "finished"
    after = run.samples()
    pd.testing.assert_frame_equal(after.head(len(before)), before)
    cells = pd.read_csv(path / "cells.csv")
    assert set(cells.status) == {"ok"}
    assert len(cells) == 2 * 2 * 2 > before.groupby(["case", "kernel", "threads", "cache"]).ngroups
    assert not after.duplicated(["case", "kernel", "threads", "cache", "process", "round"]).any()


def test_resuming_measures_what_had_no_time_and_nothing_else(convgrad, tmp_path):
    path = tmp_path / "run"
    case = Case.of("convolve", "float32", signal=(10_000,), taps=(33,))
    block = Block(case=case, threads=1, kernels=("numpy", "planted_right"), baseline="scipy_direct")
    skipped = {
        name: {
            **block.key(name),
            **{"status": "skipped (budget)", "identity": Identities().of(block, name)},
        }
        for name in block.kernels
    }
    options = {"preset": "smoke", "suites": ["convolve_1d"], "keep_environment": False}
    options |= {"kernel": ["numpy", "planted_right"], "threads": ["1"], "import": [PLANTED]}
    with Run.create(path, preset="smoke", options=options) as run:
        run.append(
            facts=[
                {**skipped["numpy"], "detail": OUT_OF_TIME},
                {**skipped["planted_right"], "detail": "a call would take too long"},
            ]
        )
    done = convgrad("run", f"--resume={path}")
    assert done.returncode == 0, done.stderr
    status = pd.read_csv(path / "cells.csv").set_index("kernel").status
    assert status.to_dict() == {"numpy": "ok", "planted_right": "skipped (budget)"}
