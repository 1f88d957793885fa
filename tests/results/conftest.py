"""Synthetic test data: run folders with invented numbers, never measured on any machine."""

import math

import numpy as np
import pytest

from convgrad.results.report import write_report
from convgrad.results.schema import SPIN, TWIN
from convgrad.results.store import Run

PROCESSES = 3
PEAK = {1: 5e10, 2: 9e10}
BANDWIDTH = [[16e3, 2e11], [5e5, 1e11], [8e6, 4e10], [1e9, 1.2e10]]


def series(fixed, **varying):
    """Cases in which sizes vary together and the others stay."""
    return [{**fixed, **dict(zip(varying, values))} for values in zip(*varying.values())]


def layer(**sizes):
    return {
        "batch": 8,
        "channels": 64,
        "height": 56,
        "width": 56,
        "filters": 64,
        "filter_height": 3,
        "filter_width": 3,
        "stride": 1,
        "padding": "same",
        **sizes,
    }


def layers():
    odd = [1, 3, 5, 7, 11]
    wide = [16, 32, 64, 128, 256]
    return [
        *series(layer(), filter_height=odd, filter_width=odd),
        *series(layer(), channels=wide, filters=wide),
        *series(layer(), batch=[1, 2, 8, 32]),
        *series(
            layer(),
            channels=[128, 256, 512],
            filters=[128, 256, 512],
            height=[28, 14, 7],
            width=[28, 14, 7],
        ),
        layer(channels=3, height=224, width=224, filter_height=7, filter_width=7, stride=2),
    ]


CASES = {
    "convolve": [
        *(
            {"signal": [n], "taps": [t], "mode": "full"}
            for n in (1_000, 100_000, 1_000_000)
            for t in (3, 15, 64, 255, 1023)
        ),
        *(
            {"signal": [n, n], "taps": [t, t], "mode": "same"}
            for n in (128, 512)
            for t in (3, 7, 15, 31)
        ),
        *({"signal": [48, 48, 48], "taps": [t, t, t], "mode": "same"} for t in (3, 5, 9)),
    ],
    "conv2d": layers(),
    "conv2d_filter_gradient": layers()[:10],
    "conv2d_input_gradient": layers()[:10],
    "fit_linear": [
        {"samples": n, "features": p, "iterations": 50}
        for n in (200, 2_000, 20_000)
        for p in (10, 50, 200, 1000)
    ],
    "fit_filter": [
        {"signal": [n], "taps": [t], "iterations": 50}
        for n in (10_000, 200_000)
        for t in (8, 32, 128, 512)
    ],
}

# name, family, device, algorithm, seconds of overhead, share of the peak, share that is parallel
KERNELS = [
    ("python_loops", "naive", "cpu", "direct", 1e-6, 2e-4, 0),
    ("njit_loops", "naive", "cpu", "direct", 2e-7, 0.02, 0),
    ("numba_parallel", "numba", "cpu", "direct", 6e-6, 0.35, 0.95),
    ("numba_blocked", "numba", "cpu", "direct", 9e-6, 0.55, 0.97),
    ("numpy", "scipy", "cpu", "direct", 3e-6, 0.08, 0),
    ("scipy_direct", "scipy", "cpu", "direct", 8e-6, 0.06, 0),
    ("scipy_ndimage", "scipy", "cpu", "direct", 2e-5, 0.03, 0),
    ("fftconvolve", "fft", "cpu", "fft", 4e-5, 0.10, 0),
    ("overlap_save", "fft", "cpu", "fft", 6e-5, 0.14, 0.8),
    ("pyfftw_batched", "fft", "cpu", "fft", 3e-5, 0.13, 0.8),
    ("im2col", "gemm", "cpu", "direct", 2e-5, 0.45, 0.9),
    ("cuda_direct", "cuda", "cuda", "direct", 1e-4, 5.0, 0),
    ("cuda_tiled", "cuda", "cuda", "direct", 1e-4, 9.0, 0),
    ("torch", "peer", "cpu", "direct", 1.5e-5, 0.60, 0.92),
    ("torch_channels_last", "peer", "cpu", "direct", 2e-5, 0.66, 0.92),
]


def text(value):
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def cost(operation, sizes):
    """Parameters, flops, elements touched and output elements, roughly right."""
    if "features" in sizes:
        elements = sizes["samples"] * sizes["features"]
        return sizes["features"], 4 * elements * sizes["iterations"], elements, sizes["features"]
    if "batch" in sizes:
        window = sizes["filter_height"] * sizes["filter_width"]
        parameters = sizes["channels"] * sizes["filters"] * window
        pixels = sizes["batch"] * sizes["height"] * sizes["width"] // sizes["stride"] ** 2
        data = pixels * (sizes["channels"] + sizes["filters"])
        return parameters, 2 * pixels * parameters, data + parameters, pixels * sizes["filters"]
    signal, taps = math.prod(sizes["signal"]), math.prod(sizes["taps"])
    passes = 2 * sizes.get("iterations", 0.5)
    return taps, 2 * signal * taps * passes, 2 * signal + taps, signal


def seconds(kernel, operation, sizes, dtype, threads, flops, elements):
    _, _, _, algorithm, overhead, share, parallel = kernel
    peak = PEAK[1] * share / (2 if dtype == "float64" else 1)
    speed = peak * (1 + (threads - 1) * parallel)
    if algorithm == "fft":
        work = 30 * elements * math.log2(elements + 2) * (sizes.get("iterations", 1))
        return overhead + work / speed
    return overhead + flops / speed + elements * 4 / 2e10


def status_of(name, operation, sizes, threads, time):
    """A status other than ok, with its sentence, for some cells."""
    if name.startswith("cuda") and operation != "convolve":
        return "unavailable", "no CUDA device"
    if name == "pyfftw_batched" and operation != "convolve":
        return "unsupported", "it convolves one signal with one filter"
    if name == "scipy_ndimage" and sizes.get("mode") == "full":
        return "unsupported", "scipy.ndimage computes mode 'same' only, got mode 'full'"
    if time > 2:
        return "skipped (budget)", "a call would take over 2 s"
    if name == "scipy_direct" and math.prod(sizes.get("taps", [1])) > 900:
        return "timed out", "no result within 60 s"
    if name == "im2col" and sizes.get("batch") == 32:
        return "out of memory", "MemoryError: Unable to allocate 3.45 GiB"
    if name == "numba_blocked" and sizes.get("features") == 1000:
        return "wrong", "largest error is 31 times its bound"
    if name == "njit_loops" and operation == "conv2d_input_gradient" and sizes["channels"] == 256:
        return "crashed", "the worker died of signal 11 (SIGSEGV)"
    return "ok", None


def measurements(operations, dtypes, threads, kernels, rounds):
    """Yield (samples, facts) a cell."""
    generator = np.random.default_rng(7)
    for operation in operations:
        for sizes in CASES[operation]:
            for dtype in dtypes:
                for count in threads:
                    for position, kernel in enumerate(kernels):
                        yield cell(
                            generator, operation, sizes, dtype, count, kernel, position, rounds
                        )


def cell(generator, operation, sizes, dtype, threads, kernel, position, rounds):
    name, family, device, algorithm, *_ = kernel
    parameters, flops, elements, output = cost(operation, sizes)
    itemsize = 4 if dtype == "float32" else 8
    time = seconds(kernel, operation, sizes, dtype, threads, flops, elements)
    status, detail = status_of(name, operation, sizes, threads, time)
    key = {
        "operation": operation,
        "case": ",".join([f"{n}={text(v)}" for n, v in sizes.items()] + [dtype]),
        "kernel": name,
        "threads": threads,
        "cache": "warm",
        "call": "plain",
    }
    temporary = 3 * elements if algorithm == "fft" else 9 * elements if family == "gemm" else 0
    fact = {
        **key,
        "dtype": dtype,
        "data": "random",
        "sizes": sizes,
        "family": family,
        "device": device,
        "algorithm": algorithm,
        "baseline": name == "numpy",
        "parameters": parameters,
        "flops": int(flops),
        "bytes": elements * itemsize * sizes.get("iterations", 1),
        "footprint": elements * itemsize,
        "status": status,
        "detail": detail,
        "steal": 0.001,
    }
    if status == "skipped (budget)":
        fact["predicted_s"] = time
    if status == "wrong":
        fact["error_ratio"] = 31.0
    if status != "ok":
        return [], [fact]
    workspace = (output + temporary) * itemsize
    fact |= {
        "error_ratio": round(float(generator.uniform(0.001, 0.4)), 4),
        "workspace_bytes": workspace,
        "peak_bytes": int(workspace * generator.uniform(1.0, 1.3)) // 4096 * 4096,
        "load_s": 0.4 if family in ("numba", "cuda") else 0.0,
        "compile_s": 2.5 if family in ("numba", "cuda") else 0.0,
        "first_call_s": time * 3,
    }
    spread = 0.15 if name == "scipy_ndimage" else 0.012
    count = 3 if time > 0.5 else rounds
    loops = max(1, round(0.02 / time))
    samples = [
        {
            **key,
            "process": index % PROCESSES,
            "round": index // PROCESSES,
            "position": position,
            "loops": loops,
            "wall_ns": (wall_ns := round(time * loops * 1e9 * generator.lognormal(0, spread))),
            "cpu_ns": wall_ns * threads,
        }
        for index in range(count)
    ]
    return samples + (evidence(generator, samples) if fact["baseline"] else []), [fact]


def evidence(generator, baseline):
    """Samples of a block's null twin and spin probe, beside those of its baseline."""
    twins = [
        {
            **sample,
            "kernel": TWIN,
            "wall_ns": round(sample["wall_ns"] * generator.lognormal(0, 0.002)),
        }
        for sample in baseline
    ]
    spins = [
        {**sample, "kernel": SPIN, "loops": 1, "wall_ns": 2_000_000, "cpu_ns": 1_998_000}
        for sample in baseline
    ]
    return twins + spins


def make_run(
    path, operations=tuple(CASES), dtypes=("float32",), threads=(2,), kernels=KERNELS, rounds=12
):
    run = Run.create(
        path,
        command="convgrad run --preset laptop",
        preset="laptop (synthetic test data, measured nowhere)",
        start="2026-01-01T00:00:00+00:00",
        end="2026-01-01T00:09:00+00:00",
        machine={"cpu": "Synthetic CPU of the tests", "cores": 2, "memory_bytes": 16 * 2**30}
        | {"l1d_bytes": 32 << 10, "l2_bytes": 1 << 20, "l3_bytes": 32 << 20, "l3_instances": 1},
        libraries={"numpy": "2.4.6", "scipy": "1.17.1", "numba": "0.68.1", "torch": "2.13.0"},
        call_overhead_s=5e-8,
        roofs=[
            {
                "dtype": dtype,
                "threads": count,
                "flops_per_s": peak / (1 if dtype == "float32" else 2),
                "bandwidth": [[size, speed * count] for size, speed in BANDWIDTH],
                "triad": [[size, speed * count * 0.8] for size, speed in BANDWIDTH],
            }
            for dtype in ("float32", "float64")
            for count, peak in PEAK.items()
        ],
    )
    samples, facts = [], []
    for some, known in measurements(operations, dtypes, threads, kernels, rounds):
        samples += some
        facts += known
    run.append(samples, facts)
    run.update(state="finished")
    return run


@pytest.fixture
def new_run(tmp_path):
    """A function that makes a synthetic run in a folder of its own."""

    def make(name="run", **options):
        return make_run(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def full_run(tmp_path_factory):
    """Two operations with every kind of cell. Tests must not change it."""
    return make_run(
        tmp_path_factory.mktemp("runs") / "full",
        operations=("convolve", "fit_linear"),
        threads=(1, 2),
    )


@pytest.fixture(scope="session")
def reported_run(tmp_path_factory):
    """A small run with its report. Tests must not change it."""
    run = make_run(
        tmp_path_factory.mktemp("runs") / "reported",
        operations=("fit_filter",),
        dtypes=("float32", "float64"),
        threads=(1, 2),
    )
    write_report(run)
    return run
