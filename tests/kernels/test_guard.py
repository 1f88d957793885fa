"""A step beyond a guarded array ends the process; the array itself is like any other."""

import subprocess
import sys

import numpy as np
import pytest

from convgrad.kernels.guard import guarded

BEYOND = """
import ctypes, sys
import numpy as np
from convgrad.kernels.guard import guarded
array = guarded(np.ones((3, 5), sys.argv[1]), sys.argv[2])
place = array.ctypes.data + (array.nbytes if sys.argv[2] == "end" else -1)
print(ctypes.string_at(place - int(sys.argv[3]) * (1 if sys.argv[2] == "end" else -1), 1))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pages are not protected here")
@pytest.mark.parametrize("at", ["end", "start"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_one_byte_beyond_is_a_crash_and_the_last_byte_is_not(dtype, at):
    def status(inside):
        arguments = [sys.executable, "-c", BEYOND, dtype, at, inside]
        return subprocess.run(arguments, capture_output=True, timeout=60).returncode

    assert status("1") == 0
    assert status("0") < 0


@pytest.mark.parametrize("shape", [(0,), (1,), (1024,), (7, 333, 5)])
@pytest.mark.parametrize("at", ["end", "start"])
def test_the_numbers_are_the_same_and_may_be_changed(shape, at):
    array = np.random.default_rng(0).standard_normal(shape)
    copy = guarded(array, at)
    assert np.array_equal(copy, array)
    assert copy.flags.carray
    copy += 1
    assert np.array_equal(copy, array + 1)
