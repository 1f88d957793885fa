import re

import llvmlite.binding
import numba
import numpy as np
import pytest
from numba import njit, types

from convgrad.suites.measure import machine, roofline

FEATURES = llvmlite.binding.get_host_cpu_features()
REGISTER = {16: "xmm", 32: "ymm", 64: "zmm"}[roofline.vector_bytes()]


@pytest.fixture
def one_thread():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_roofs_have_the_shape_that_results_rely_on(one_thread, monkeypatch, dtype):
    monkeypatch.setattr(roofline, "GEMM_SIDES", (256, 256))
    monkeypatch.setattr(roofline, "working_sets", lambda threads: [1 << 14, 1 << 20])
    roofs = roofline.measure(dtype, 1, seconds=0.05)
    assert (roofs["dtype"], roofs["threads"]) == (dtype, 1)
    both = roofs["multiply_add_flops_per_s"], roofs["gemm_flops_per_s"]
    assert min(both) > 0
    assert roofs["flops_per_s"] == max(both)
    assert [size for size, _ in roofs["bandwidth"]] == [1 << 14, 1 << 20]
    assert min(rate for _, rate in roofs["bandwidth"]) > 0


def test_more_threads_than_were_started_are_refused():
    with pytest.raises(ValueError, match="threads"):
        roofline.measure("float32", numba.config.NUMBA_NUM_THREADS + 1)


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 32), ("float64", 64)])
def test_every_lane_of_every_chain_does_its_multiply_adds(one_thread, dtype, bits):
    lanes = roofline.vector_bytes() * 8 // bits
    out = np.empty(3, dtype)
    roofline.multiply_add_kernel(out, 2, out.dtype.type(0.5), out.dtype.type(3))
    starts = 1 + np.arange(roofline.chains()) / 32
    expected = lanes * np.sum((starts * 0.5 + 3) * 0.5 + 3)
    assert out == pytest.approx([expected] * 3, rel=1e-6)


@pytest.mark.parametrize("blocks", [1, 2, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_element_is_read_once_a_repeat(one_thread, dtype, blocks):
    block = roofline._LOADS * roofline.vector_bytes() // np.dtype(dtype).itemsize
    memory = np.empty(3 * blocks * block + roofline._LINE, dtype)
    start = -memory.ctypes.data % roofline._LINE // memory.itemsize
    data = memory[start : start + 3 * blocks * block]
    data[:] = np.random.default_rng(0).integers(0, 8, len(data))
    out = np.empty(3, dtype)
    roofline.read_kernel(data, out, blocks, 4)
    assert out.tolist() == (4 * data.reshape(3, -1).sum(axis=1)).tolist()


def test_every_part_is_touched(one_thread):
    data = np.zeros(3 * 64)
    roofline.touch_kernel(data, 3)
    assert (data == 1).all()


@pytest.mark.skipif("sse2" not in FEATURES, reason="reads assembly of x86")
@pytest.mark.skipif(not FEATURES.get("fma"), reason="the processor has no fused multiply-add")
@pytest.mark.parametrize(("real", "suffix"), [(types.float32, "ps"), (types.float64, "pd")])
def test_the_peak_loop_is_nothing_but_multiply_adds_in_full_registers(real, suffix):
    loops = _loops(roofline.multiply_add_kernel, (real[::1], types.intp, real, real))
    fused = rf"\s+vfmadd\d+{suffix}\s+(%{REGISTER}\d+(, )?){{3}}$"
    inner = [loop for loop in loops if any(re.match(fused, line) for line in loop)]
    assert inner
    shortest = min(inner, key=len)
    assert sum(bool(re.match(fused, line)) for line in shortest) == roofline.chains()
    # label, counter, branch
    assert len(shortest) <= roofline.chains() + 4


@pytest.mark.skipif("sse2" not in FEATURES, reason="reads assembly of x86")
@pytest.mark.parametrize("real", [types.float32, types.float64])
def test_the_read_loop_loads_full_registers(real):
    loops = _loops(roofline.read_kernel, (real[::1], real[::1], types.intp, types.intp))
    load = rf"\s+v?(add|mov)\w+\s+-?\d*\(%.*%{REGISTER}\d+$"
    densest = max(loops, key=lambda loop: np.mean([bool(re.match(load, line)) for line in loop]))
    loads = sum(bool(re.match(load, line)) for line in densest)
    assert loads % roofline._LOADS == 0
    assert loads >= 0.8 * len(densest) if REGISTER != "xmm" else loads > 0


def _loops(kernel, signature):
    """Bodies of the innermost loops, as lines of assembly; compiled anew: cached code has none."""
    compiled = njit(kernel.py_func)
    compiled.compile(signature)
    (text,) = compiled.inspect_asm().values()
    labels, loops = {}, []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if label := re.match(r"(\S+):", line):
            labels[label[1]] = number
        jump = re.match(r"\s+j\w+\s+(\S+)", line)
        if jump and jump[1] in labels:
            loops.append(lines[labels[jump[1]] : number + 1])
    return [loop for loop in loops if sum(bool(re.match(r"\S+:", line)) for line in loop) == 1]


def test_working_sets_lie_in_one_level_each(monkeypatch):
    caches = {"l1d_bytes": 32 << 10, "l2_bytes": 1 << 20, "l3_bytes": 96 << 20, "l3_instances": 2}
    monkeypatch.setattr(machine, "caches", lambda: caches)
    monkeypatch.setattr(machine, "available_bytes", lambda: 64 << 30)
    assert roofline.working_sets(1) == [16 << 10, 512 << 10, 48 << 20, 384 << 20]
    assert roofline.working_sets(4) == [64 << 10, 2 << 20, 96 << 20, 768 << 20]


@pytest.mark.parametrize("available", [64 << 20, 512 << 20])
def test_working_sets_leave_memory_to_others(monkeypatch, available):
    caches = {"l1d_bytes": 32 << 10, "l2_bytes": 1 << 20, "l3_bytes": 32 << 20}
    monkeypatch.setattr(machine, "caches", lambda: caches)
    monkeypatch.setattr(machine, "available_bytes", lambda: available)
    sizes = roofline.working_sets(2)
    assert sizes == sorted(set(sizes))
    assert max(sizes) <= max(available // 4, 16 << 20)


def test_working_sets_where_caches_are_unknown(monkeypatch):
    monkeypatch.setattr(machine, "caches", dict)
    assert len(roofline.working_sets(1)) >= 3


def test_a_roof_is_the_best_of_the_repeats(monkeypatch):
    now, pace = 0.0, iter([5, 3, 1, 2, 4] * 1000)

    def run(turns):
        nonlocal now
        now += turns * 1e-3 * next(pace)

    monkeypatch.setattr(roofline.time, "perf_counter", lambda: now)
    assert roofline._best_rate(run, 2.0) == pytest.approx(1000)


def test_runs_are_made_longer_than_it_takes_to_wake_the_threads(monkeypatch):
    now = 0.0

    def run(turns):
        nonlocal now
        now += 0.1 + turns * 1e-6

    monkeypatch.setattr(roofline.time, "perf_counter", lambda: now)
    assert 0.5e6 < roofline._best_rate(run, 2.0) < 1e6


def test_a_roof_is_the_highest_of_what_was_measured():
    one = {
        "dtype": "float32",
        "threads": 1,
        "flops_per_s": 2.0,
        "bandwidth": [[10, 5.0], [20, 1.0]],
    }
    other = {
        "dtype": "float32",
        "threads": 1,
        "flops_per_s": 3.0,
        "bandwidth": [[10, 4.0], [20, 2.0]],
    }
    assert roofline.highest(one, other) == {
        "dtype": "float32",
        "threads": 1,
        "flops_per_s": 3.0,
        "bandwidth": [[10, 5.0], [20, 2.0]],
    }
