"""Kernels are right on processors with other registers: a case of each in a fresh process."""

import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

REGISTERS = {"haswell": 32, "nehalem": 16, "generic": 16}
"""Bytes of a vector register, by the name under which LLVM knows the processor."""
COMPILED = {
    "haswell": "numba or winograd",
    **dict.fromkeys(("nehalem", "generic"), "numba_stripes or numba_blocked or numba_fused"),
}
"""Kernels that are tried: all on one, and on the others those with the largest tiles, as compiling
is what takes long. The environments of these names in tox.ini hold all to all of the contract."""

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="these are x86-64 processors"
)


def on(target, folder, *arguments):
    environment = os.environ | {
        "NUMBA_CPU_NAME": target,
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(folder / target),
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        cwd=Path(__file__).parents[2],
    )


@pytest.fixture(scope="module")
def contracts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("targets")
    files = [f"tests/kernels/{name}" for name in ("test_contract.py", "test_fft.py", "vector")]

    def run(target):
        compiled = f"test_registered and ({COMPILED[target]}) and fresh_results"
        selection = f"{compiled} or test_fft or vector"
        return on(target, folder, "-m", "pytest", "-q", *files, "-k", selection)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(REGISTERS, pool.map(run, REGISTERS)))


@pytest.mark.parametrize("target", REGISTERS)
def test_vectors_are_as_wide_as_registers(target, tmp_path):
    asked = "from convgrad.kernels import vector; print(vector.register_bytes())"
    assert int(on(target, tmp_path, "-c", asked).stdout) == REGISTERS[target]


@pytest.mark.parametrize(("target", "size"), [("znver4", 32), ("znver5", 64), ("haswell", 32)])
def test_registers_may_be_worked_on_in_halves(target, size, tmp_path):
    asked = "from convgrad.kernels import vector; print(vector.datapath_bytes())"
    assert int(on(target, tmp_path, "-c", asked).stdout) == size


@pytest.mark.parametrize("target", REGISTERS)
def test_kernels_are_right(contracts, target):
    ran = contracts[target]
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert " passed" in ran.stdout
