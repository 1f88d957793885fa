"""Rows of calls into given arrays and of calls whose weights are kept."""

import subprocess
import sys

import numpy as np
import pytest

from convgrad.kernels import Case
from convgrad.results.schema import CALLS
from convgrad.suites.measure.admission import Admission
from convgrad.suites.measure.block import Block
from convgrad.suites.suite import Axes, Suite
from convgrad.suites.workers.judge import judge
from convgrad.suites.workers.worker import Worker

CASE = Case.of("convolve", "float32", signal=(300,), taps=(9,))


@pytest.fixture
def overlap_save():
    return Worker("convolve", "overlap_save")


@pytest.mark.parametrize("call", CALLS[:-1])
def test_a_worker_calls_in_every_way(overlap_save, call, tmp_path):
    fact = overlap_save.load(CASE, 0, 0, call)
    assert ("prepare_s" in fact) == ("prepared" in call)
    reply = overlap_save.check(judge(CASE, 0, ["fft"], tmp_path))
    assert "status" not in reply
    wall, _, _ = overlap_save.sample(2)
    assert wall > 0
    assert "status" not in overlap_save.verify()
    assert len(overlap_save.sets[0]) == (1 if "prepared" in call else 2)


def test_a_kernel_that_leaves_the_given_array_alone_is_wrong(overlap_save, tmp_path):
    overlap_save.load(CASE, 0, 0, "out")
    function = overlap_save.function
    overlap_save.function = lambda *arrays, out, **options: function(*arrays, **options)
    reply = overlap_save.check(judge(CASE, 0, ["fft"], tmp_path))
    assert reply["detail"] == "did not return the array that it was given"


def test_what_cannot_be_called_so_is_unsupported():
    names = "overlap_save", "numba_parallel", "numpy"
    for call, able in (
        ("plain", [*names]),
        ("out", ["overlap_save", "numba_parallel"]),
        ("prepared", ["overlap_save"]),
    ):
        facts, contenders = Admission(1).admit(Block(CASE, 1, names, "numpy", "warm", call))
        assert list(contenders) == able
        assert {facts[name].get("status") for name in set(names) - {*able}} <= {"unsupported"}
    assert facts["numpy"]["detail"] == "it cannot prepare weights"


def test_a_suite_crosses_calls():
    axes = Axes([{"signal": (9,), "taps": (3,)}], calls=("plain", "prepared"))
    suite = Suite("convolve", "numpy", {"smoke": [axes]})
    assert [block.call for block in suite.blocks("smoke", cores=1)] == ["plain", "prepared"]
    assert [block.call for block in suite.blocks("smoke", cores=1, calls=["out"])] == ["out"]
    assert Block(CASE, 1, (), "numpy").key("numpy")["call"] == "plain"


PLACES = """
import sys
from convgrad.kernels import Case
from convgrad.suites.certify import planted_timing
from convgrad.suites.workers import zygote
from convgrad.suites.workers.judge import judge
from convgrad.suites.workers.worker import Worker

zygote._keep_freed_memory()
case = Case.of("convolve", "float64", signal=(100_000,), taps=(3,), mode="valid")
worker = Worker("convolve", "three_taps")
worker.load(case, 0)
worker.check(judge(case, 0, ["direct"], sys.argv[1]))
places = set()
for _ in range(40):
    worker.sample(2)
    places.add(worker.output.ctypes.data % 4096)
print(len(places))
"""
"""In a process of its own, whose allocator is told what those of workers are."""


def test_results_lie_elsewhere_in_every_sample(tmp_path):
    places = subprocess.check_output([sys.executable, "-c", PLACES, str(tmp_path)])
    assert int(places) >= 20


def test_out_is_given_anew_for_every_sample(overlap_save):
    overlap_save.load(CASE, 0, 0, "out")
    overlap_save.lay_out()
    first = overlap_save.calls[0][1]["out"]
    assert np.isnan(first).all()
    overlap_save.lay_out()
    assert overlap_save.calls[0][1]["out"] is not first
