"""Arrows point downwards, and importing the kernels costs next to nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from convgrad import kernels

ROOT = Path(kernels.__file__).parents[1]
MAY_IMPORT = {
    "kernels": {"kernels"},
    "results": {"results"},
    "suites": {"kernels", "results", "suites"},
}


def floors(file):
    """The floors that a file imports, anywhere in it; relative imports stay on theirs."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]  # Names of modules, as import_module takes them.
        parts = (name.split(".") for name in names)
        found |= {p[1] for p in parts if p[0] == "convgrad" and len(p) > 1 and p[1] in MAY_IMPORT}
    return found


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_arrows_point_downwards(floor):
    files = list((ROOT / floor).rglob("*.py"))
    assert files
    upwards = {
        f"{file.relative_to(ROOT)} -> {other}"
        for file in files
        for other in floors(file) - MAY_IMPORT[floor]
    }
    assert not upwards


def test_the_check_sees_every_form_of_import(tmp_path):
    for text, expected in [
        ("import convgrad.suites.cli", {"suites"}),
        ("from convgrad import results", {"results"}),
        ("from convgrad.kernels.case import Case", {"kernels"}),
        ("def f():\n    from convgrad.suites import suite", {"suites"}),
        ("import_module('convgrad.results.store')", {"results"}),
        ("import numpy", set()),
    ]:
        file = tmp_path / "module.py"
        file.write_text(text)
        assert floors(file) == expected


def test_nobody_imports_the_tools_of_the_contract():
    tools = {"contract", "examples"}
    for floor in MAY_IMPORT:
        for file in (ROOT / floor).rglob("*.py"):
            if tools & {file.stem, file.parent.name}:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = (f"{node.module}.{alias.name}" for alias in node.names)
                    used = {name.removeprefix("convgrad.kernels.").split(".")[0] for name in names}
                    assert not used & tools, file


def loaded(code):
    """Modules in memory after running code in a process of its own."""
    code += "; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


HEAVY = {"torch", "pandas", "matplotlib", "pytest", "hypothesis", "sklearn", "cv2", "PIL", "pyfftw"}


def test_importing_kernels_is_light():
    modules = loaded("import convgrad.kernels")
    assert not modules & (HEAVY | {"numba", "numba.cuda", "numba_cuda", "scipy.signal"})
    assert "convgrad.kernels.registry" in modules


def test_listing_kernels_imports_no_optional_package():
    assert not loaded("from convgrad import kernels; kernels.find(usable=False)") & HEAVY
