import re

import llvmlite.binding
import numba
import numpy as np
import pytest
from numba import njit, types

from convgrad.suites.machine import environment, facts, roof_kernels, roofs

FEATURES = llvmlite.binding.get_host_cpu_features()
REGISTER = {16: "xmm", 32: "ymm", 64: "zmm"}[roof_kernels.vector_bytes()]


@pytest.fixture
def one_thread():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_roofs_have_the_shape_that_results_rely_on(one_thread, monkeypatch, dtype):
    monkeypatch.setattr(roofs, "GEMM_SIDES", (256, 256))
    monkeypatch.setattr(roofs, "working_sets", lambda threads: {"L1": 3 << 12, "L2": 3 << 18})
    told = roofs.measure(dtype, 1, seconds=0.05)
    assert (told["dtype"], told["threads"]) == (dtype, 1)
    both = told["multiply_add_flops_per_s"], told["gemm_flops_per_s"]
    assert min(both) > 0
    assert told["flops_per_s"] == max(both)
    assert told["levels"] == ["L1", "L2"]
    for name in ("bandwidth", "triad"):
        assert [size for size, _ in told[name]] == [3 << 12, 3 << 18]
        assert min(rate for _, rate in told[name]) > 0


@pytest.mark.parametrize("size", [1, 100_000, 1 << 40])
def test_probes_say_what_they_did_and_how_long_it_took(one_thread, monkeypatch, size):
    monkeypatch.setattr(roofs, "working_sets", lambda threads: {"L1": 3 << 12, "L2": 3 << 18})
    block = roof_kernels.BLOCK * roof_kernels.vector_bytes()
    for done, *times in (
        roofs.multiply_add_probe("float32", 1),
        roofs.read_probe("float32", 1, size),
    ):
        assert done > 0
        assert min(times) > 0
    data = roofs._kept("float32", 1, min(max(size, block), 3 << 18) // block * block)
    assert done % data.nbytes == 0


def test_more_threads_than_were_started_are_refused():
    with pytest.raises(ValueError, match="threads"):
        roofs.measure("float32", numba.config.NUMBA_NUM_THREADS + 1)


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 32), ("float64", 64)])
def test_every_lane_of_every_chain_does_its_multiply_adds(one_thread, dtype, bits):
    lanes = roof_kernels.vector_bytes() * 8 // bits
    out = np.empty(3, dtype)
    roof_kernels.multiply_add_kernel(out, 2, out.dtype.type(0.5), out.dtype.type(3))
    starts = 1 + np.arange(roof_kernels.chains()) / 32
    expected = lanes * np.sum((starts * 0.5 + 3) * 0.5 + 3)
    assert out == pytest.approx([expected] * 3, rel=1e-6)


@pytest.mark.parametrize("blocks", [1, 2, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_element_is_read_once_a_repeat(one_thread, dtype, blocks):
    data = _filled(dtype, 3 * blocks)
    out = np.empty(3, dtype)
    roof_kernels.read_kernel(data, out, blocks, 4)
    assert out.tolist() == (4 * data.reshape(3, -1).sum(axis=1)).tolist()


@pytest.mark.parametrize("blocks", [1, 2, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_triad_writes_a_third_from_the_others_on_every_thread(one_thread, dtype, blocks):
    data = _filled(dtype, 2 * 3 * blocks)
    _, b, c = data.copy().reshape(2, 3, -1).transpose(1, 0, 2)
    roof_kernels.triad_kernel(data, data.dtype.type(3), 2, blocks, 4)
    assert data.reshape(2, 3, -1).tolist() == np.stack([b + 3 * c, b, c], axis=1).tolist()


def _filled(dtype, blocks):
    data = roofs.touched(dtype, 1, blocks * roof_kernels.BLOCK * roof_kernels.vector_bytes())
    data[:] = np.random.default_rng(0).integers(0, 8, len(data))
    return data


def test_every_part_is_touched(one_thread):
    data = np.zeros(3 * 64)
    roof_kernels.touch_kernel(data, 3)
    assert (data == 1).all()


@pytest.mark.skipif("sse2" not in FEATURES, reason="reads assembly of x86")
@pytest.mark.skipif(not FEATURES.get("fma"), reason="the processor has no fused multiply-add")
@pytest.mark.parametrize(("real", "suffix"), [(types.float32, "ps"), (types.float64, "pd")])
def test_the_peak_loop_is_nothing_but_multiply_adds_in_full_registers(real, suffix):
    loops = _loops(roof_kernels.multiply_add_kernel, (real[::1], types.intp, real, real))
    fused = rf"\s+vfmadd\d+{suffix}\s+(%{REGISTER}\d+(, )?){{3}}$"
    inner = [loop for loop in loops if any(re.match(fused, line) for line in loop)]
    assert inner
    shortest = min(inner, key=len)
    count = sum(bool(re.match(fused, line)) for line in shortest)
    assert count % roof_kernels.chains() == 0  # LLVM may do several turns in one
    # label, counter, branch
    assert len(shortest) <= count + 4


@pytest.mark.skipif("sse2" not in FEATURES, reason="reads assembly of x86")
@pytest.mark.parametrize("real", [types.float32, types.float64])
def test_the_read_loop_loads_full_registers(real):
    loops = _loops(roof_kernels.read_kernel, (real[::1], real[::1], types.intp, types.intp))
    load = rf"\s+v?(add|mov)\w+\s+-?\d*\(%.*%{REGISTER}\d+$"
    densest = max(loops, key=lambda loop: np.mean([bool(re.match(load, line)) for line in loop]))
    loads = sum(bool(re.match(load, line)) for line in densest)
    assert loads % roof_kernels.BLOCK == 0
    assert loads >= 0.8 * len(densest) if REGISTER != "xmm" else loads > 0


@pytest.mark.skipif("sse2" not in FEATURES, reason="reads assembly of x86")
@pytest.mark.skipif(not FEATURES.get("fma"), reason="the processor has no fused multiply-add")
@pytest.mark.parametrize(("real", "suffix"), [(types.float32, "ps"), (types.float64, "pd")])
def test_the_triad_loop_stores_full_registers(real, suffix):
    signature = (real[::1], real, types.intp, types.intp, types.intp)
    loops = _loops(roof_kernels.triad_kernel, signature)
    fused = rf"\s+vfmadd\d+{suffix}\s.*%{REGISTER}\d+$"
    stored = rf"\s+vmov\w+\s+%{REGISTER}\d+, -?\d*\(%.*\)$"
    # one loop writes forth, none goes element by element
    (loop,) = [loop for loop in loops if any(re.match(stored, line) for line in loop)]
    stores, multiply_adds = (
        sum(bool(re.match(pattern, line)) for line in loop) for pattern in (stored, fused)
    )
    assert stores == multiply_adds
    assert stores % roof_kernels.BLOCK == 0
    # a load, a multiply-add with a load in it, and a store
    assert len(loop) <= 3 * stores + 12


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
    monkeypatch.setattr(facts, "caches", lambda: caches)
    monkeypatch.setattr(environment, "available_bytes", lambda: 64 << 30)
    for threads, wanted in (
        (1, [16 << 10, 512 << 10, 48 << 20, 144 << 20, 384 << 20]),
        (4, [64 << 10, 2 << 20, 96 << 20, 288 << 20, 768 << 20]),
    ):
        sets = roofs.working_sets(threads)
        grain = 3 * threads * roof_kernels.BLOCK * roof_kernels.vector_bytes()
        assert list(sets) == ["L1", "L2", "L3", "past L3", "memory"]
        assert list(sets.values()) == [size // grain * grain for size in wanted]


@pytest.mark.parametrize("available", [64 << 20, 512 << 20])
def test_working_sets_leave_memory_to_others(monkeypatch, available):
    caches = {"l1d_bytes": 32 << 10, "l2_bytes": 1 << 20, "l3_bytes": 32 << 20}
    monkeypatch.setattr(facts, "caches", lambda: caches)
    monkeypatch.setattr(environment, "available_bytes", lambda: available)
    sizes = list(roofs.working_sets(2).values())
    assert sizes == sorted(set(sizes))
    assert max(sizes) <= max(available // 4, 16 << 20)


def test_working_sets_where_caches_are_unknown(monkeypatch):
    monkeypatch.setattr(facts, "caches", dict)
    assert len(roofs.working_sets(1)) >= 3


def test_a_roof_is_the_best_of_the_repeats(monkeypatch):
    now, pace = 0.0, iter([5, 3, 1, 2, 4] * 1000)

    def run(turns):
        nonlocal now
        now += turns * 1e-3 * next(pace)

    monkeypatch.setattr(roofs.time, "perf_counter", lambda: now)
    assert roofs._best_rate(run, 2.0) == pytest.approx(1000)


def test_runs_are_made_longer_than_it_takes_to_wake_the_threads(monkeypatch):
    now = 0.0

    def run(turns):
        nonlocal now
        now += 0.1 + turns * 1e-6

    monkeypatch.setattr(roofs.time, "perf_counter", lambda: now)
    assert 0.5e6 < roofs._best_rate(run, 2.0) < 1e6


def test_a_roof_is_the_highest_of_what_was_measured():
    one = {
        "dtype": "float32",
        "threads": 1,
        "flops_per_s": 2.0,
        "bandwidth": [[10, 5.0], [20, 1.0]],
        "triad": [[10, 1.0], [20, 2.0]],
    }
    other = {
        "dtype": "float32",
        "threads": 1,
        "flops_per_s": 3.0,
        "bandwidth": [[10, 4.0], [20, 2.0]],
        "triad": [[10, 2.0], [20, 1.0]],
    }
    assert roofs.highest(one, other) == {
        "dtype": "float32",
        "threads": 1,
        "flops_per_s": 3.0,
        "bandwidth": [[10, 5.0], [20, 2.0]],
        "triad": [[10, 2.0], [20, 2.0]],
    }


@pytest.mark.parametrize("order", [1, -1])
def test_a_roof_of_before_there_were_triads_can_be_joined(order):
    old = {"flops_per_s": 2.0, "bandwidth": [[10, 5.0]]}
    new = {"flops_per_s": 1.0, "bandwidth": [[10, 6.0]], "triad": [[10, 2.0]], "levels": ["L1"]}
    expected = new | {"flops_per_s": 2.0}
    assert roofs.highest(*(old, new)[::order]) == expected
