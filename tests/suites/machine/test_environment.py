import os
import subprocess
import sys

import pytest

from convgrad.results.plots.views import machine_name
from convgrad.suites.machine import environment

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


def test_what_is_left_is_told():
    given = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "", "PATH": "/bin"}
    given |= {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "2"}
    told = ["NUMBA_CPU_NAME=haswell", "ONEDNN_MAX_CPU_ISA=AVX2"]
    assert environment.restrictions(given) == told
    assert machine_name({"cpu": "a", "restricted": told}) == f"a restricted by {', '.join(told)}"
    assert machine_name({"cpu": "a"}) == "a"


def test_what_spoils_is_taken_out_and_told():
    given = SPOILT | HARMLESS
    new, taken_out = environment.fair_environment(given, 4)
    assert taken_out == SPOILT
    assert new == HARMLESS | dict.fromkeys(environment.THREAD_COUNTS, "4")
    assert given == SPOILT | HARMLESS
    assert all(environment.reason(name) for name in SPOILT)


def test_a_count_that_is_right_already_is_no_news():
    _, taken_out = environment.fair_environment({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "1"}, 2)
    assert taken_out == {"MKL_NUM_THREADS": "1"}


def test_keep_sets_the_counts_and_nothing_else():
    new, taken_out = environment.fair_environment(SPOILT | HARMLESS, 3, keep=True)
    assert taken_out == {}
    assert new == SPOILT | HARMLESS | dict.fromkeys(environment.THREAD_COUNTS, "3")


def test_exceptions_are_exceptions(monkeypatch):
    kept = [pattern.replace("*", "X") for pattern in environment.KEPT]
    assert [environment.reason(name) for name in kept] == [None] * len(kept)
    monkeypatch.setattr(environment, "KEPT", {})
    assert all(environment.reason(name) for name in kept)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin")
def test_one_thread_is_pinned_to_the_last_core_and_more_are_not():
    before = os.sched_getaffinity(0)
    try:
        assert environment.pin(2) is None
        assert os.sched_getaffinity(0) == before
        assert environment.pin(1) == max(before)
        assert os.sched_getaffinity(0) == {max(before)}
        assert environment.pin(1) == max(before)
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin")
@pytest.mark.parametrize("threads", [1, 2])
def test_pinning_ends_with_what_is_pinned(threads):
    before = os.sched_getaffinity(0)
    with environment.pinned(threads):
        assert os.sched_getaffinity(0) == ({max(before)} if threads == 1 else before)
    assert os.sched_getaffinity(0) == before


def test_where_pinning_is_forbidden_nothing_happens(monkeypatch):
    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert environment.pin(1) is None


def test_without_a_quota_the_affinity_counts(system):
    system("0::/", **{"cgroup/cpu.max": "max 100000"})
    assert environment.usable_cores() == 4


def test_the_strictest_quota_of_all_levels_counts(system):
    system(
        "0::/outer/inner",
        **{"cgroup/outer/cpu.max": "250000 100000", "cgroup/outer/inner/cpu.max": "max 100000"},
    )
    assert environment.usable_cores() == 2


def test_a_quota_below_one_core_leaves_one(system):
    system(
        "4:cpu,cpuacct:/job",
        **{
            "cgroup/cpu/job/cpu.cfs_quota_us": "50000",
            "cgroup/cpu/job/cpu.cfs_period_us": "100000",
        },
    )
    assert environment.usable_cores() == 1


def test_available_memory_is_within_the_limit_of_the_group(system):
    system(
        "0::/job",
        **{
            "cgroup/job/memory.max": str(100 << 20),
            "cgroup/job/memory.current": str(60 << 20),
            "cgroup/job/memory.stat": f"anon 5\ninactive_file {20 << 20}\n",
        },
    )
    assert environment.available_bytes() == 60 << 20


def test_no_limit_is_no_limit(system):
    system(
        "4:memory:/",
        **{
            "cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "cgroup/memory/memory.usage_in_bytes": "9000000000000000000",
        },
    )
    assert environment.available_bytes() > 0


APART = """
import os, threading
from convgrad.suites.machine import environment

before, working, done = os.sched_getaffinity(0), threading.Event(), threading.Event()

def work():
    sum(range(3_000_000))
    working.set()
    done.wait()

worker = threading.Thread(target=work)
worker.start()
working.wait()
with environment.apart():
    own, its = os.sched_getaffinity(0), os.sched_getaffinity(worker.native_id)
after = os.sched_getaffinity(0), os.sched_getaffinity(worker.native_id)
done.set()
assert after == (before, before)
assert len(before) == 1 or (len(own) == len(its) == 1 and own != its)
"""
"""In a process of its own: here, pools that tests have started may have run for longer."""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no cores to choose here")
def test_busy_threads_are_put_on_cores_of_their_own_and_let_go():
    subprocess.run([sys.executable, "-c", APART], check=True)
