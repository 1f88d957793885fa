"""Kernels of device arrays, on a device that is a NumPy array in disguise."""

import numpy as np
import pytest

from convgrad import kernels
from convgrad.kernels import Case, Unsupported, kernel, registry
from convgrad.kernels.on_device import Arrays, contiguous
from convgrad.suites.workers.judge import judge
from convgrad.suites.workers.worker import Worker

CASE = Case.of("convolve", "float32", signal=(40,), taps=(5,))


class There:
    """An array that nobody can mistake for one of the host."""

    def __init__(self, array):
        self.array = array


def refill(there, array):
    there.array[...] = array


FAKE = Arrays(
    why_not=lambda: None,
    upload=lambda array: There(array.copy()),
    refill=refill,
    download=lambda there: there.array.copy(),
    empty=lambda shape, dtype: There(np.full(shape, np.nan, dtype)),
    wait=lambda: None,
)


@pytest.fixture
def registered():
    before = dict(registry._kernels["convolve"])
    yield
    registry._kernels["convolve"] = before


@pytest.fixture
def fake(registered):
    @kernel("convolve", family="cuda", name="fake_device", arrays=FAKE)
    def fake_device(signal, taps, *, mode, out):
        """Convolution there."""
        out.array[...] = np.convolve(signal.array, taps.array, mode)
        return out

    return fake_device


def test_a_plain_call_takes_and_returns_arrays_of_the_host(fake):
    signal, taps = np.arange(7.0), np.arange(3.0)
    result = fake(signal, taps)
    np.testing.assert_array_equal(result, np.convolve(signal, taps))
    with pytest.raises(Unsupported):  # its `out` is one of the device
        fake(signal, taps, out=result)


def test_on_device_is_without_transfers(fake):
    there = fake.on_device.arrays.upload
    out = There(np.empty(9))
    result = fake.on_device.function(there(np.arange(7.0)), there(np.ones(3)), mode="full", out=out)
    assert result is out


def test_arrays_among_the_options_go_there_too(fake):
    ready = fake.on_device.options({"weights": np.ones(3), "step": 0.5}, (3,), np.float32)
    assert isinstance(ready["weights"], There)
    assert ready["step"] == 0.5
    assert ready["out"].array.shape == (3,)


def test_only_kernels_of_device_arrays_are_called_so(fake):
    assert fake.why_not_call("on device") is None
    reason = "it takes no arrays that lie on a device"
    assert kernels.get("convolve", "numpy").why_not_call("on device") == reason


def test_the_worker_measures_it_where_it_lies(fake, tmp_path):
    worker = Worker("convolve", "fake_device")
    assert "status" not in worker.load(CASE, 0, 0, "on device")
    assert "status" not in worker.check(judge(CASE, 0, ["direct"], tmp_path))
    assert all(isinstance(array, There) for array in worker.sets[0])
    wall, _, _ = worker.sample(2)
    assert wall > 0
    assert "status" not in worker.verify()


def test_the_worker_finds_a_result_of_before(registered, tmp_path):
    kept = {}

    @kernel("convolve", family="cuda", name="stale_device", arrays=FAKE)
    def stale_device(signal, taps, *, mode, out):
        """Compute once."""
        full = kept.setdefault("full", np.convolve(signal.array, taps.array, mode))
        out.array[...] = full
        return out

    worker = Worker("convolve", "stale_device")
    worker.load(CASE, 0, 0, "on device")
    worker.check(judge(CASE, 0, ["direct"], tmp_path))
    assert worker.sample(1)["status"] == "wrong"


def test_contiguous_arrays_have_the_strides_of_their_shape():
    odd = np.arange(6.0)[::-6].reshape(1, 1)
    assert contiguous(odd).strides == (8, 8)
    assert contiguous(np.arange(6.0)[::2]).strides == (8,)
