import json
import os
import subprocess
import sys
import textwrap
from typing import NamedTuple

import psutil
import pytest

from convgrad.suites.machine import environment, facts
from convgrad.suites.machine.environment import fair_environment


def test_a_machine_can_be_described_in_json():
    told = facts.describe()
    assert json.loads(json.dumps(told)) == told
    assert 1 <= told["usable_cores"] <= told["logical_cores"]
    assert 0 < told["available_bytes"] < told["memory_bytes"]
    assert {"cpu", "architecture", "os", "kernel", "python", "hostname", "load"} <= set(told)
    assert all(value not in (None, "", []) for value in told.values())


def test_what_cannot_be_read_is_absent(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(facts, "read", fails)
    monkeypatch.setattr(psutil, "virtual_memory", fails)
    monkeypatch.setattr(environment, "affinity", fails)
    told = facts.describe()
    assert "memory_bytes" not in told
    assert "l1d_bytes" not in told
    assert "python" in told


@pytest.mark.parametrize("threads", [1, 2])
def test_libraries_run_with_the_threads_that_were_set(threads):
    spoilt = {"OPENBLAS_CORETYPE": "Nehalem", "OMP_NUM_THREADS": "16", "MKL_NUM_THREADS": "16"}
    program = """
        import json
        import numba, numpy, scipy.linalg
        from convgrad.suites.machine import facts
        print(json.dumps([numba.config.NUMBA_NUM_THREADS, facts.thread_pools()]))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=fair_environment(os.environ | spoilt, threads)[0],
        capture_output=True,
        text=True,
        check=True,
    )
    numba_threads, blas = json.loads(run.stdout)
    assert numba_threads == threads
    # a BLAS starts no more threads than there are cores
    expected = min(threads, environment.usable_cores())
    assert blas
    assert [entry["threads"] for entry in blas] == [expected] * len(blas)
    assert all(entry["name"] and entry["file"] for entry in blas)
    assert "Nehalem" not in [entry.get("architecture") for entry in blas]


def test_caches_are_sized_for_one_and_counted_at_the_third_level(system):
    levels = {
        "index0": ("1", "Data", "32K", "{}"),
        "index1": ("1", "Instruction", "64K", "{}"),
        "index2": ("2", "Unified", "1024K", "{}"),
        "index3": ("3", "Unified", "32M", "{pair}"),
    }
    files = {}
    for core in range(4):
        for index, (level, kind, size, sharers) in levels.items():
            folder = f"cpu/cpu{core}/cache/{index}"
            files[f"{folder}/level"] = level
            files[f"{folder}/type"] = kind
            files[f"{folder}/size"] = size
            files[f"{folder}/shared_cpu_list"] = sharers.format(
                core, pair=["0-1", "2-3"][core // 2]
            )
    system(**files)
    assert facts.caches() == {
        "l1d_bytes": 32 << 10,
        "l2_bytes": 1 << 20,
        "l3_bytes": 32 << 20,
        "l3_instances": 2,
    }


def test_versions_are_those_of_the_installed():
    import numpy

    versions = facts.libraries()
    assert versions["numpy"] == numpy.__version__
    assert None not in versions.values()


class Times(NamedTuple):
    user: float
    idle: float
    steal: float = 0.0
    guest: float = 0.0


def test_steal_is_of_the_usable_cores_and_guests_count_once(monkeypatch):
    cores = [Times(9, 9, 9), Times(60, 30, 10, guest=20), Times(50, 50)]
    monkeypatch.setattr(environment, "affinity", lambda: [1, 2])
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: cores)
    assert facts.steal_ticks() == (10, 200)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("cpu/cpufreq/boost", "1", True),
        ("cpu/cpufreq/boost", "0", False),
        ("cpu/intel_pstate/no_turbo", "0", True),
        ("cpu/intel_pstate/no_turbo", "1", False),
        ("cpu/nothing", "", None),
    ],
)
def test_turbo_is_told_by_either_driver(system, file, text, expected):
    system(**{file: text})
    assert facts.turbo() is expected


def test_the_layer_of_numba_is_told_once_there_is_one():
    program = """
        import json, numba, numpy
        from convgrad.suites.machine import facts
        before = facts.thread_pools()
        @numba.njit(parallel=True)
        def fill(array):
            for i in numba.prange(len(array)):
                array[i] = i
        fill(numpy.empty(9))
        print(json.dumps([before, facts.thread_pools()]))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    before, after = ([p for p in pools if p["name"] == "numba"] for pools in json.loads(run.stdout))
    assert before == []
    assert after[0]["threading_layer"] in ("tbb", "omp", "workqueue")
    assert after[0]["threads"] >= 1
