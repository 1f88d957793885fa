"""What the engine survives: faults planted in real runs, and what each of them costs.

``python -m convgrad.suites.certify.faults NAME ARGUMENT...`` is the command `convgrad` with the
fault NAME planted in it; faults of kernels are planted by importing kernels that have them.
"""

import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import psutil

from convgrad.results.schema import SPIN
from convgrad.results.store import Run
from convgrad.suites.certify.claims import Claim, Outcome
from convgrad.suites.measure import settings
from convgrad.suites.measure.engine import Engine
from convgrad.suites.workers.crew import Crew

GOOD = ("numpy", "planted_right")
BAD = {
    "planted_crash": "crashed",
    "planted_exit": "crashed",
    "planted_deaf": "out of memory",
    "planted_terabyte": "out of memory",
    "planted_runaway": "out of memory",
    "planted_hang": "timed out",
    "planted_wrong": "wrong",
}
"""Kernels that must not cost more than their own cells, and the status of these."""
_MODULES = ("planted", "misbehaving")
_DTYPES = ("float32", "float64")
_MEMORY_BYTES = 2 << 30
"""What the machine says it has: a worker may use half of it, and one of them will."""
_HANG_S = 6


def _at(method, owner, number, act):
    """Have ``act(*arguments)`` happen before the given call of a method, counted from 1."""
    original, calls = getattr(owner, method), iter(range(1, sys.maxsize))

    def acting(*arguments, **named):
        if next(calls) == number:
            act(*arguments, **named)
        return original(*arguments, **named)

    setattr(owner, method, acting)


def _while_stored(act):
    """Have ``act(run)`` happen before the first cells of the second block are written down."""

    def remember_and_act(run, *arguments):
        shutil.copytree(run.path, f"{run.path}.before")
        act(run)

    _at("append", Run, 3, remember_and_act)


def _kill_stopped(**when):
    """Have workers killed, which are stopped, before they are asked something for the nth time."""
    original, asked = Crew.ask, Counter()

    def ask(crew, key, method, *arguments, **named):
        asked[method, key[0]] += 1
        if when.get(method) == (key[0], asked[method, key[0]]):
            os.kill(crew.workers[key].process.pid, signal.SIGKILL)
        return original(crew, key, method, *arguments, **named)

    Crew.ask = ask


def _fill_disk(run):
    """Let no file grow beyond the size of the samples and half a line."""
    size = (run.path / "samples.csv").stat().st_size + 40
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _put_file_in_place(run):
    shutil.rmtree(run.path)
    run.path.write_text("no folder any more")


def _step_clocks_back():
    """Have the time of day, and the engine's own clock, go backwards."""
    start, day = time.monotonic(), time.time()
    steps = iter(range(sys.maxsize))
    time.time = lambda: day - 60 * next(steps)
    time.strftime = lambda form, *_: f"2001-01-01T00:{59 - next(steps) % 60:02}:00+0000"
    Engine.__init__.__kwdefaults__["clock"] = lambda: start - next(steps) / 10


def _kill(number, run):
    os.kill(os.getpid(), number)


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault, how the coordinator is made to meet it, and what it may cost.

    Attributes
    ----------
    name : str
    plant : callable
        Called before the command runs, in its process.
    status : int
        With which the command has to end.
    says : str
        Part of the one line on standard error; there is none if it is empty.
    lost : int
        Cells that are not measured in the end, after ``--resume`` where the run ended early.
    kept : bool
        Whether the run folder is there afterwards.
    bad : dict of str to str
        Kernels with faults of their own that take part, and their statuses.
    """

    name: str
    plant: Callable[[], None]
    status: int = 0
    says: str = ""
    lost: int = 0
    kept: bool = True
    bad: dict = dataclasses.field(default_factory=dict)


FAULTS = [
    Fault("kernels misbehave", lambda: None, bad=BAD),
    Fault("worker killed while stopped", partial(_kill_stopped, sample=(GOOD[1], 4)), lost=1),
    Fault(
        "evidence killed while stopped", partial(_kill_stopped, judge=("judge", 2), spin=(SPIN, 4))
    ),
    Fault("disk full", partial(_while_stored, _fill_disk), 3, "cannot write samples.csv"),
    Fault(
        *("folder replaced", partial(_while_stored, _put_file_in_place), 3),
        *("cannot write samples.csv", 0, False),
    ),
    Fault("coordinator killed", partial(_while_stored, partial(_kill, signal.SIGKILL)), -9),
    Fault(
        *("coordinator ended", partial(_while_stored, partial(_kill, signal.SIGTERM)), 130),
        "go on with: convgrad run --resume",
    ),
    Fault("clocks step back", _step_clocks_back),
]


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came of a run with a fault.

    Attributes
    ----------
    complaints : list of str
        Whatever was not as it has to be.
    lost : int
        Cells of good kernels that could not be measured in the end.
    """

    complaints: list
    lost: int


def attempt(fault, folder):
    """Run the command with a fault planted, then see what is there and that it can go on.

    Parameters
    ----------
    fault : Fault
    folder : Path
        A folder that does not exist yet.

    Returns
    -------
    Trial
    """
    arguments = [f"--import=convgrad.suites.certify.{name}" for name in _MODULES]
    arguments += [f"--kernel={name}" for name in (*GOOD, *fault.bad)]
    dtypes = _DTYPES[: 1 if fault.bad else 2]
    arguments += [f"--dtype={name}" for name in dtypes]
    scratch = folder.with_name(f"{folder.name}.tmp")
    scratch.mkdir(parents=True)
    run = _command(
        *(fault.name, "run", "--preset=smoke", "--suite=convolve_1d", "--threads=1"),
        *(f"--out={folder}", *arguments),
        TMPDIR=str(scratch),
    )
    lines = run.stderr.splitlines()
    complaints = _left_behind(scratch, fault.status)
    if run.returncode != fault.status:
        complaints.append(f"status {run.returncode}: {' '.join(lines[-1:])}")
    if len(lines) != bool(fault.says) or fault.says not in run.stderr:
        complaints.append(f"{len(lines)} lines of error: {' '.join(lines[-1:])}")
    if not fault.kept:
        return Trial(complaints, 0)
    afterwards = ("report", folder), ("run", f"--resume={folder}")
    for step in afterwards if fault.status else ():
        done = _command("nothing", *step)
        if done.returncode or done.stderr:
            complaints.append(f"{step[0]}: {done.stderr.splitlines()[-1:]}")
    left = Run.open(folder)
    status = {(fact["kernel"], fact["dtype"]): fact["status"] for fact in left.facts()}
    for kernel, expected in fault.bad.items():
        if (found := status.get((kernel, dtypes[0]))) != expected:
            complaints.append(f"{kernel} is {found}, not {expected}")
    if not _has_all_of(left, folder.with_name(f"{folder.name}.before")):
        complaints.append("samples that were there before are not there any more")
    good = [status.get((kernel, dtype)) for kernel in GOOD for dtype in dtypes]
    return Trial(complaints, len(good) - good.count("ok"))


def _has_all_of(run, before):
    earlier = Run.open(before).samples() if before.exists() else run.samples()
    return run.samples().head(len(earlier)).equals(earlier)


def _left_behind(scratch, status):
    """Sentences about processes and files that are there after the run that they belonged to."""
    sentences = []
    if status >= 0 and any(scratch.iterdir()):
        sentences.append("files are left in the scratch folder")
    deadline = time.monotonic() + 5
    while (left := _processes(scratch)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        sentences.append(f"processes are left: {left}")
    return sentences


def _processes(scratch):
    """Ids of processes that live and were told of this scratch folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(scratch):
                found += [process.pid] * (process.status() != psutil.STATUS_ZOMBIE)
    return found


def _command(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "convgrad.suites.certify.faults", *map(str, arguments)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _measure(budget):
    folders = [budget.scratch / fault.name.replace(" ", "-") for fault in FAULTS]
    with ThreadPoolExecutor(2) as pool:
        trials = dict(zip([fault.name for fault in FAULTS], pool.map(attempt, FAULTS, folders)))
    worst = max(trial.lost for trial in trials.values())
    wrong = [f"{name}: {text}" for name, trial in trials.items() for text in trial.complaints]
    found = f"{len(FAULTS)} faults, at most {worst} cell lost"
    holds = not wrong and all(trials[fault.name].lost <= fault.lost for fault in FAULTS)
    return Outcome("; ".join([found, *wrong]), holds)


CLAIMS = [
    Claim(
        name="faults",
        how="planted in real runs, each followed by a report and, where it ended the run, "
        f"by --resume: {', '.join(fault.name for fault in FAULTS)}",
        must_be="one line that says so, at most one cell lost, and nothing that was measured",
        measure=_measure,
        quick=False,
        seconds=50,
    )
]


def main():
    """Plant the fault that the first argument names, and be the command."""
    from convgrad.suites import session
    from convgrad.suites.cli import app

    session.MACHINE.available_bytes = lambda: _MEMORY_BYTES
    Engine.roofs = lambda *_: []  # they take long, and are not at stake
    settings.PRESETS["smoke"] = dataclasses.replace(settings.PRESETS["smoke"], hang_s=_HANG_S)
    for fault in FAULTS:
        if fault.name == sys.argv[1]:
            fault.plant()
    app(sys.argv[2:])


if __name__ == "__main__":
    main()
