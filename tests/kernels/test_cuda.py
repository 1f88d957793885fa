"""CUDA kernels without a GPU: the contract on Numba's simulator, PTX, and what it assembles to."""

import functools
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from convgrad.kernels import cuda, find

KERNELS = find(device="cuda", family="cuda", usable=False)
OPERATIONS = (
    *("convolve", "conv2d", "conv2d_filter_gradient", "conv2d_input_gradient"),
    *("fit_linear", "fit_filter"),
)
DTYPES = "float32", "float64"
CAPABILITY = (9, 0)

CONTRACT = """
import sys

import numpy as np
from numba.core import types
from numba.cuda.simulator import kernelapi
from numba.np import numpy_support

from convgrad.kernels import contract, find


def array(self, shape, dtype):
    "In one step: the simulator's own looks up, then makes, and two threads may both make one."
    line = sys._getframe(1)
    if isinstance(dtype, types.Type):
        dtype = numpy_support.as_dtype(dtype)
    key = line.f_code.co_filename, line.f_lineno
    return self._allocations.setdefault(key, np.empty(shape, dtype))


kernelapi.FakeCUDAShared.array = array

test_simulated = contract.test(find({operation!r}, family="cuda"))
"""


def test_convolution_and_descent_have_cuda_kernels():
    assert {k.operation for k in KERNELS} == set(OPERATIONS)


@pytest.fixture(scope="module")
def simulations(tmp_path_factory):
    """One process an operation, with its output in a file; all at once, since they take long."""
    started = {}
    for name in OPERATIONS:
        folder = tmp_path_factory.mktemp(name)
        (folder / "test_simulated.py").write_text(CONTRACT.format(operation=name))
        options = "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir=."
        with open(folder / "output.txt", "w") as output:
            started[name] = (
                folder / "output.txt",
                subprocess.Popen(
                    [sys.executable, "-m", "pytest", *options, "test_simulated.py"],
                    cwd=folder,
                    env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                ),
            )
    yield started
    for _, process in started.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_contract_on_the_simulator(simulations, operation):
    output, process = simulations[operation]
    status = process.wait(timeout=600)
    report = output.read_text()
    assert status == 0, report
    assert "skipped" not in report, report


@functools.cache
def no_compiler():
    """Why device code cannot be compiled here, or None."""
    try:
        cuda.cuda.compile_ptx(lambda x: None, "void(float32[::1])", cc=CAPABILITY)
    except Exception as error:  # Each provider has its own for a missing library.
        return f"libNVVM is not available: {error!r}"
    return None


@functools.cache
def ptxas():
    """The assembler inside NVIDIA's wheels, which fits the compiler there, or the one on PATH."""
    wheels = find_spec("nvidia")
    for folder in wheels.submodule_search_locations if wheels else ():
        for program in Path(folder).rglob("ptxas"):
            return str(program)
    return shutil.which("ptxas")


@functools.cache
def compiled(index, dtype):
    function, signature = cuda.device_kernels[index]
    # What numba-cuda compiles on the way, such as a barrier of the grid, is for the current device.
    device = SimpleNamespace(compute_capability=CAPABILITY)
    with patch("numba.cuda.dispatcher.get_current_device", lambda: device):
        return cuda.ptx(function, signature, dtype, CAPABILITY)


each_device_kernel = pytest.mark.parametrize(
    ("index", "dtype"),
    [
        pytest.param(index, dtype, id=f"{function.__module__}.{function.__qualname__}-{dtype}")
        for index, (function, _) in enumerate(cuda.device_kernels)
        for dtype in DTYPES
    ],
)


@each_device_kernel
def test_compiles_to_ptx(index, dtype):
    if reason := no_compiler():
        pytest.skip(reason)
    text = compiled(index, dtype)
    assert ".target sm_90" in text
    assert ".entry" in text
    wide = re.search(r"\b(?:fma|mul|add|cvt)\.[a-z.]*f64", text)
    assert dtype == "float64" or not wide, f"float64 arithmetic: {wide[0]}"


@each_device_kernel
def test_assembles_without_spills(index, dtype, tmp_path):
    if reason := no_compiler():
        pytest.skip(reason)
    if not ptxas():
        pytest.skip("there is no ptxas, on PATH or in NVIDIA's wheels")
    file = tmp_path / "kernel.ptx"
    file.write_text(compiled(index, dtype))
    # -c: what waits for other blocks is linked in later
    command = [ptxas(), "-c", "-v", "-arch=sm_90", str(file), "-o", str(tmp_path / "kernel.cubin")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    spilled = re.findall(r"(\d+) bytes spill (?:stores|loads)", done.stderr)
    assert spilled, done.stderr
    assert set(spilled) == {"0"}, done.stderr
