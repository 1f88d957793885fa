import json
import os
import subprocess
import sys
import textwrap

import pytest

from convgrad.suites.measure import machine

SPOILT = {
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_L2_SIZE": "512",
    "OMP_NUM_THREADS": "16",
    "OMP_PROC_BIND": "true",
    "GOMP_CPU_AFFINITY": "0",
    "KMP_BLOCKTIME": "0",
    "MKL_DEBUG_CPU_TYPE": "5",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_VERBOSE": "1",
    "NUMBA_DISABLE_JIT": "1",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_THREADING_LAYER": "workqueue",
    "ATEN_CPU_CAPABILITY": "default",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F",
    "MALLOC_PERTURB_": "1",
}
HARMLESS = {
    "PATH": "/usr/bin",
    "LD_PRELOAD": "libjemalloc.so",
    "CUDA_VISIBLE_DEVICES": "1",
    "NUMBA_CACHE_DIR": "cache",
    "NUMBA_ENABLE_CUDASIM": "1",
    "KMP_DUPLICATE_LIB_OK": "TRUE",
    "COMPANY_OMP_LIKE_NAME": "1",
}


def test_what_spoils_is_taken_out_and_told():
    given = SPOILT | HARMLESS
    new, taken_out = machine.fair_environment(given, 4)
    assert taken_out == SPOILT
    assert new == HARMLESS | dict.fromkeys(machine.THREAD_COUNTS, "4")
    assert given == SPOILT | HARMLESS
    assert all(machine.reason(name) for name in SPOILT)


def test_a_count_that_is_right_already_is_no_news():
    _, taken_out = machine.fair_environment({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "1"}, 2)
    assert taken_out == {"MKL_NUM_THREADS": "1"}


def test_keep_sets_the_counts_and_nothing_else():
    new, taken_out = machine.fair_environment(SPOILT | HARMLESS, 3, keep=True)
    assert taken_out == {}
    assert new == SPOILT | HARMLESS | dict.fromkeys(machine.THREAD_COUNTS, "3")


def test_exceptions_are_exceptions(monkeypatch):
    kept = [pattern.replace("*", "X") for pattern in machine.KEPT]
    assert [machine.reason(name) for name in kept] == [None] * len(kept)
    monkeypatch.setattr(machine, "KEPT", {})
    assert all(machine.reason(name) for name in kept)


@pytest.mark.parametrize("threads", [1, 2])
def test_libraries_run_with_the_threads_that_were_set(threads):
    program = """
        import json
        import numba, numpy, scipy.linalg
        from convgrad.suites.measure import machine
        print(json.dumps([numba.config.NUMBA_NUM_THREADS, machine.blas()]))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=machine.fair_environment(os.environ | SPOILT, threads)[0],
        capture_output=True,
        text=True,
        check=True,
    )
    numba_threads, blas = json.loads(run.stdout)
    assert numba_threads == threads
    # a BLAS starts no more threads than there are cores
    expected = min(threads, machine.usable_cores())
    assert blas
    assert [entry["threads"] for entry in blas] == [expected] * len(blas)
    assert all(entry["name"] and entry["file"] for entry in blas)
    assert "Haswell" not in [entry.get("architecture") for entry in blas] or _is_haswell()


def _is_haswell():
    return machine.describe().get("code_name") == "haswell"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin")
def test_one_thread_is_pinned_to_the_last_core_and_more_are_not():
    before = os.sched_getaffinity(0)
    try:
        assert machine.pin(2) is None
        assert os.sched_getaffinity(0) == before
        assert machine.pin(1) == max(before)
        assert os.sched_getaffinity(0) == {max(before)}
        assert machine.pin(1) == max(before)
    finally:
        os.sched_setaffinity(0, before)


def test_where_pinning_is_forbidden_nothing_happens(monkeypatch):
    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert machine.pin(1) is None


def test_a_machine_can_be_described_in_json():
    told = machine.describe()
    assert json.loads(json.dumps(told)) == told
    assert 1 <= told["usable_cores"] <= told["logical_cores"]
    assert 0 < told["available_bytes"] < told["memory_bytes"]
    assert {"cpu", "architecture", "os", "kernel", "python", "hostname", "load"} <= set(told)
    assert all(value not in (None, "", []) for value in told.values())


def test_what_cannot_be_read_is_absent(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(machine, "_read", fails)
    monkeypatch.setattr(machine.psutil, "virtual_memory", fails)
    monkeypatch.setattr(machine, "_affinity", fails)
    told = machine.describe()
    assert "memory_bytes" not in told
    assert "l1d_bytes" not in told
    assert "python" in told


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A folder to plant /sys in; returns a function that writes files, and plants 4 cores."""
    monkeypatch.setattr(machine, "_affinity", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(machine, "_CPU", tmp_path / "cpu")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    groups = {"/proc/self/cgroup": ""}
    read = machine._read
    monkeypatch.setattr(machine, "_read", lambda path: groups.get(str(path)) or read(path))

    def plant(own_groups="", **files):
        groups["/proc/self/cgroup"] = own_groups
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return plant


def test_without_a_quota_the_affinity_counts(system):
    system("0::/", **{"cgroup/cpu.max": "max 100000"})
    assert machine.usable_cores() == 4


def test_the_strictest_quota_of_all_levels_counts(system):
    system(
        "0::/outer/inner",
        **{"cgroup/outer/cpu.max": "250000 100000", "cgroup/outer/inner/cpu.max": "max 100000"},
    )
    assert machine.usable_cores() == 2


def test_a_quota_below_one_core_leaves_one(system):
    system(
        "4:cpu,cpuacct:/job",
        **{
            "cgroup/cpu/job/cpu.cfs_quota_us": "50000",
            "cgroup/cpu/job/cpu.cfs_period_us": "100000",
        },
    )
    assert machine.usable_cores() == 1


def test_available_memory_is_within_the_limit_of_the_group(system):
    system(
        "0::/job",
        **{
            "cgroup/job/memory.max": str(100 << 20),
            "cgroup/job/memory.current": str(60 << 20),
            "cgroup/job/memory.stat": f"anon 5\ninactive_file {20 << 20}\n",
        },
    )
    assert machine.available_bytes() == 60 << 20


def test_no_limit_is_no_limit(system):
    system(
        "4:memory:/",
        **{
            "cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "cgroup/memory/memory.usage_in_bytes": "9000000000000000000",
        },
    )
    assert machine.available_bytes() > 0


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
    assert machine.caches() == {
        "l1d_bytes": 32 << 10,
        "l2_bytes": 1 << 20,
        "l3_bytes": 32 << 20,
        "l3_instances": 2,
    }


def test_versions_are_those_of_the_installed():
    import numpy

    versions = machine.libraries()
    assert versions["numpy"] == numpy.__version__
    assert None not in versions.values()
