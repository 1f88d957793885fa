"""Numba's pool: its threads sleep soon, the environment stays as it was, results stay the same."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from convgrad.kernels import threads

VARIABLES = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"


@pytest.fixture
def loaded(monkeypatch):
    """What libgomp would have read, once for each time that it was loaded."""
    seen = []
    monkeypatch.setattr(
        importlib, "import_module", lambda _: seen.append(os.environ.get("GOMP_SPINCOUNT"))
    )
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return seen


def test_the_pool_is_told_once_and_nobody_else(loaded):
    threads.load_pool()
    assert loaded == [threads.SPINS]
    assert not set(VARIABLES) & os.environ.keys()


@pytest.mark.parametrize("name", VARIABLES)
def test_what_the_caller_says_stays(loaded, monkeypatch, name):
    monkeypatch.setenv(name, "passive")
    threads.load_pool()
    assert loaded == []
    assert os.environ[name] == "passive"


def test_another_pool_will_do(loaded, monkeypatch):
    def missing(_):
        raise ImportError("no omppool")

    monkeypatch.setattr(importlib, "import_module", missing)
    threads.load_pool()
    assert not set(VARIABLES) & os.environ.keys()


def test_compiled_kernels_are_the_same_on_four_threads():
    selection = "test_registered and numba and large_cases"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/kernels/test_contract.py", "-k", selection],
        env=os.environ | {"NUMBA_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        timeout=900,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert " passed" in ran.stdout
