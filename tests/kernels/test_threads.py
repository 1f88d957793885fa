"""Numba's pool is loaded with threads that sleep soon, and the environment stays as it was."""

import importlib
import os

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
