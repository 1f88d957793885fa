"""Processes of a run: those that die, hang or take too much are lost alone, and none is left."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from convgrad import kernels
from convgrad.kernels import Case
from convgrad.suites.certify import misbehaving, planted  # noqa: F401, registers kernels
from convgrad.suites.workers.crew import Crew
from convgrad.suites.workers.process import Lost

MODULES = ["convgrad.suites.certify.planted", "convgrad.suites.certify.misbehaving"]
CASE = Case.of("convolve", "float32", signal=(1000,), taps=(9,))
MEMORY_BYTES = 1 << 29


@pytest.fixture(scope="module")
def crew():
    crew = Crew(lambda threads: dict(os.environ), MODULES, hang_s=60)
    yield crew
    crew.close()


@pytest.fixture
def summon(crew):
    """Start a worker of a kernel with a case loaded; returns its key."""

    def summon(name):
        kernel = name and kernels.get("convolve", name)
        assert crew.summon({(name, 0): kernel}, 1, MEMORY_BYTES) == {}
        if name:
            crew.ask((name, 0), "load", CASE, 0)
        return name, 0

    yield summon
    crew.dismiss()


def lost(crew, key, method, *arguments, seconds=None):
    with pytest.raises(Lost) as caught:
        crew.ask(key, method, *arguments, seconds=seconds)
    assert key not in crew.workers
    assert "\n" not in caught.value.detail
    return caught.value


def state(pid):
    try:
        return psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return "gone"


def await_state(pid, *states):
    deadline = time.monotonic() + 10
    while state(pid) not in states and time.monotonic() < deadline:
        time.sleep(0.02)
    return state(pid)


def test_worker_is_stopped_unless_it_answers(crew, summon):
    key = summon("numpy")
    assert await_state(crew.workers[key].process.pid, "stopped") == "stopped"
    assert "workspace_bytes" in crew.ask(key, "load", CASE, 0)


def test_worker_killed_while_stopped_is_lost_alone(crew, summon):
    victim, other = summon("planted_right"), summon("numpy")
    os.kill(crew.workers[victim].process.pid, signal.SIGKILL)
    assert lost(crew, victim, "load", CASE, 0).status == "out of memory"
    crew.ask(other, "load", CASE, 0)
    summon("planted_right")


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("planted_crash", "crashed", "SIGSEGV"),
        ("planted_exit", "crashed", "exit status 3"),
        ("planted_deaf", "out of memory", "killed"),
    ],
)
def test_end_of_a_process_has_a_status(crew, summon, name, status, words):
    key = summon(name)
    reason = lost(crew, key, "try_out", CASE, 0)
    assert reason.status == status
    assert words in reason.detail


def test_signal_without_a_name_has_a_status(crew, summon):
    key = summon("numpy")
    os.kill(crew.workers[key].process.pid, signal.SIGRTMIN + 1)
    assert lost(crew, key, "load", CASE, 0).detail == f"ended by signal {signal.SIGRTMIN + 1}"


def test_hanging_worker_is_killed(crew, summon):
    key = summon("planted_hang")
    pid = crew.workers[key].process.pid
    crew.ask(key, "try_out", CASE, 0)
    reason = lost(crew, key, "try_out", CASE, 0, seconds=0.3)
    assert reason.status == "timed out"
    assert state(pid) == "gone"


@pytest.mark.parametrize("name", ["planted_terabyte", "planted_runaway"])
def test_worker_that_lacks_memory_gives_back_all_it_has(crew, summon, name):
    key = summon(name)
    pid = crew.workers[key].process.pid
    assert crew.ask(key, "try_out", CASE, 0)["status"] == "out of memory"
    assert state(pid) == "gone"
    assert key not in crew.workers


def test_worker_for_one_question_is_gone_afterwards(crew):
    known = set(psutil.Process().children(recursive=True))
    assert crew.once(None, 1, None, "overhead") > 0
    with pytest.raises(Lost, match="TypeError"):
        crew.once(None, 1, None, "overhead", "one argument too many")
    assert set(psutil.Process().children(recursive=True)) <= known


def test_killed_zygote_loses_its_workers_and_is_replaced(crew, summon):
    key = summon("numpy")
    pid = crew.workers[key].process.pid
    for zygote in crew.zygotes.values():
        zygote.process.kill()
        zygote.process.wait()
    assert await_state(pid, "gone", "zombie") in ("gone", "zombie")
    assert lost(crew, key, "load", CASE, 0).status == "out of memory"
    crew.ask(summon("numpy"), "load", CASE, 0)


def test_close_ends_all_processes():
    known = set(psutil.Process().children(recursive=True))
    crew = Crew(lambda threads: dict(os.environ), hang_s=60)
    crew.summon({("numpy", 0): kernels.get("convolve", "numpy"), ("", 0): None}, 1, None)
    workers = {worker.process.pid for worker in crew.workers.values()}
    assert len(workers) == 2
    crew.close()
    assert all(await_state(pid, "gone", "zombie") in ("gone", "zombie") for pid in workers)
    assert set(psutil.Process().children(recursive=True)) <= known


def test_failing_import_is_lost_with_its_last_line():
    crew = Crew(lambda threads: dict(os.environ), ["no_such_module"], hang_s=60)
    try:
        reason = crew.summon({("", 0): None}, 1, None)["", 0]
        assert "no_such_module" in reason.detail
        assert "no_such_module" in crew.summon({("", 0): None}, 1, None)["", 0].detail
    finally:
        crew.close()


def test_no_process_survives_a_killed_coordinator(tmp_path):
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import os, signal\n"
        "from convgrad import kernels\n"
        "from convgrad.suites.workers.crew import Crew\n"
        "crew = Crew(lambda threads: dict(os.environ))\n"
        "numpy = kernels.get('convolve', 'numpy')\n"
        "crew.summon({('numpy', 0): numpy, ('numpy', 1): numpy, ('', 0): None}, 1, None)\n"
        "print(*(worker.process.pid for worker in crew.workers.values()))\n"
        "print(*(zygote.process.pid for zygote in crew.zygotes.values()), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 3 + 2, done.stderr
    assert {await_state(pid, "gone", "zombie") for pid in pids} <= {"gone", "zombie"}
