"""A kernel from elsewhere: imported, announced by an entry point, or dropped into the folder."""

import os
import shutil
import subprocess
import sys

from convgrad import kernels
from convgrad.kernels import contract

KERNEL = '''
import numpy as np

from convgrad.kernels import kernel


def serves(signal, taps, *, mode):
    return None if signal.ndim == 1 else "it convolves series only"


@kernel("convolve", family="scipy", serves=serves)
def from_elsewhere(signal, taps, *, mode):
    """`numpy.convolve`, with the filter's own centre in "same"."""
    full = np.convolve(signal, taps)
    n, k = len(signal), len(taps)
    starts = {"full": (0, n + k - 1), "same": ((k - 1) // 2, n), "valid": (k - 1, n - k + 1)}
    first, count = starts[mode]
    return full[first : first + count].copy()
'''

TESTS = """
from convgrad import kernels
from convgrad.kernels import contract, find, get


def test_it_is_listed_and_computes():
    assert kernels.__file__.startswith({home!r})
    assert "from_elsewhere" in [k.name for k in find("convolve")]
    assert get("convolve", "from_elsewhere")([1, 2, 3], [1, 1]).tolist() == [1, 3, 5, 3]


test_my_kernel = contract.test(get("convolve", "from_elsewhere"))
"""


def assert_listed_and_contract_kept(folder, before="", home=kernels.__path__[0]):
    """Run pytest in a process of its own that finds modules in ``folder`` first."""
    (folder / "test_from_elsewhere.py").write_text(before + TESTS.format(home=str(home)))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    options = "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir=."
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_from_elsewhere.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{1 + len(contract.CHECKS)} passed" in done.stdout


def test_importing_a_module_is_enough(tmp_path):
    (tmp_path / "elsewhere.py").write_text(KERNEL)
    assert_listed_and_contract_kept(tmp_path, before="import elsewhere\n")


def test_an_entry_point_is_enough(tmp_path):
    (tmp_path / "elsewhere.py").write_text(KERNEL)
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[convgrad.kernels]\nelsewhere = elsewhere\n")
    assert_listed_and_contract_kept(tmp_path)


def test_dropping_a_file_is_enough(tmp_path):
    copy = tmp_path / "convgrad" / "kernels"
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(kernels.__path__[0], copy, ignore=without_caches)
    (tmp_path / "convgrad" / "__init__.py").touch()
    (copy / "convolution" / "elsewhere.py").write_text(KERNEL)
    assert_listed_and_contract_kept(tmp_path, home=copy)
