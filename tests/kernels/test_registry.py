import numpy as np
import pytest

from convgrad import kernels
from convgrad.kernels import Case, Kernel, Unsupported, registry


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """Whatever a test registers is gone after it."""
    kernels.operations()
    copy = {name: dict(known) for name, known in registry._kernels.items()}
    monkeypatch.setattr(registry, "_kernels", copy)


def register(name="mine", operation="convolve", **declared):
    @kernels.kernel(operation, name=name, **{"family": "scipy", **declared})
    def function(signal, taps, *, mode):
        """Convolve by NumPy."""
        return np.convolve(signal, taps, mode)

    return function


def test_the_operations():
    assert set(kernels.operations()) == {
        "convolve",
        "conv2d",
        "conv2d_filter_gradient",
        "conv2d_input_gradient",
        "fit_linear",
        "fit_filter",
        "dense",
        "residual_network",
        "dense_quantised",
        "dense_int8",
        "dense_pruned",
        "conv2d_int8",
        "locally_connected",
        "locally_connected_filter_gradient",
        "locally_connected_input_gradient",
    }


def test_every_operation_has_kernels_that_run_anywhere():
    for name in kernels.operations():
        assert [k for k in kernels.find(name) if not k.requires and k.device == "cpu"]


def test_decorator_makes_a_kernel_with_the_functions_name_and_docstring():
    @kernels.kernel("convolve", family="naive")
    def my_loops(signal, taps, *, mode):
        """Mine."""

    assert isinstance(my_loops, Kernel)
    assert (my_loops.name, my_loops.operation) == ("my_loops", "convolve")
    assert (my_loops.family, my_loops.device, my_loops.algorithm) == ("naive", "cpu", "direct")
    assert my_loops.requires == ()
    assert my_loops.__doc__ == "Mine."
    assert kernels.get("convolve", "my_loops") is my_loops
    assert my_loops in kernels.find("convolve")


def test_kernel_validates_and_computes():
    k = register()
    assert k([1, 2, 3], np.array([1.0, 1.0], np.float32), mode="valid").tolist() == [3, 5]
    assert k([1, 2, 3], [1, 1]).dtype == np.float64
    with pytest.raises(ValueError, match="mode: got 'round', expected one of"):
        k([1, 2, 3], [1, 1], mode="round")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"family": "fast"}, "family: got 'fast', expected one of 'naive', 'numba'"),
        ({"device": "gpu"}, "device: got 'gpu', expected one of 'cpu', 'cuda'"),
    ],
)
def test_unknown_family_or_device(declared, message):
    with pytest.raises(ValueError, match=message):
        register(**declared)


def test_a_name_is_taken_once():
    register("taken")
    register("taken")  # The same function again, as when a module is imported anew.
    with pytest.raises(ValueError, match="name: got 'taken', expected a name not taken by"):
        kernels.kernel("convolve", family="naive", name="taken")(lambda signal, taps, *, mode: 0)


def test_the_same_name_may_serve_several_operations():
    one, other = register("shared"), register("shared", operation="conv2d")
    assert kernels.get("convolve", "shared") is one
    assert kernels.get("conv2d", "shared") is other


def test_get_lists_near_names():
    register("overlap_save_of_mine")
    with pytest.raises(KeyError, match="no kernel of convolve is named .*overlap_save_of_mine"):
        kernels.get("convolve", "overlap_save_of_min")
    with pytest.raises(KeyError, match="no operation is named 'convolv'; near names: convolve"):
        kernels.get("convolv", "numpy")
    with pytest.raises(KeyError, match="no operation is named 'conv3d'; near names: conv2d"):
        kernels.operation("conv3d")
    with pytest.raises(KeyError, match="near names: .*conv2d, convolve"):
        kernels.find("xyz")


def test_find_narrows():
    mine = register(
        "narrow",
        family="fft",
        serves=lambda signal, taps, *, mode: None if signal.dtype == np.float32 else "float32 only",
    )
    assert mine in kernels.find()
    assert mine in kernels.find("convolve", family="fft", device="cpu")
    assert mine not in kernels.find("convolve", family="naive")
    assert mine not in kernels.find("convolve", device="cuda", usable=False)
    assert mine not in kernels.find("conv2d")
    assert mine in kernels.find("convolve", dtype="float32")
    assert mine not in kernels.find("convolve", dtype="float64")
    case = Case.of("convolve", "float32", signal=(50,), taps=(3,))
    assert mine in kernels.find("convolve", case=case)
    assert mine in kernels.find(case=case, operation_name="convolve")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_find_by_dtype_in_every_operation(dtype):
    for name in kernels.operations():
        assert kernels.find(name, dtype=dtype)


def test_missing_modules():
    k = register("elsewhere", requires=("no_such_module_here",))
    assert k.why_not() == "no_such_module_here is not installed"
    assert k not in kernels.find("convolve")
    assert k in kernels.find("convolve", usable=False)
    with pytest.raises(Unsupported, match="convolve by elsewhere: no_such_module_here is not"):
        k([1.0], [1.0])


def test_arguments_that_one_kernel_does_not_serve():
    def serves(signal, taps, *, mode):
        return None if signal.ndim == 1 else "it convolves series only"

    k = register("series_only", serves=serves)
    image = np.ones((3, 3))
    assert k.why_not() is None
    assert k.why_not([1.0], [1.0]) is None
    assert k.why_not(image, image, mode="same") == "it convolves series only"
    with pytest.raises(Unsupported, match="convolve by series_only: it convolves series only"):
        k(image, image)
    with pytest.raises(ValueError, match="mode: got 'x'"):  # The operation's message comes first.
        k(image, image, mode="x")
    with pytest.raises(ValueError, match="mode: got 'x'"):
        k.why_not(image, image, mode="x")
    assert issubclass(Unsupported, ValueError)


def test_cuda_kernels_say_why_they_cannot_run():
    for k in kernels.find(device="cuda", usable=False):
        reason = k.why_not()
        assert reason is None or reason.strip()


class TestOut:
    def into(self, signal, taps, *, mode, out=None):
        """Convolve into a given array."""
        if out is None:
            return np.convolve(signal, taps, mode)
        out[...] = np.convolve(signal, taps, mode)
        return out

    @pytest.fixture
    def k(self):
        return kernels.kernel("convolve", family="scipy", name="into")(self.into)

    def test_writes(self, k):
        assert k.writes_in_place
        out = np.empty(3)
        assert k([1.0, 2.0], [1.0, 1.0], out=out) is out
        assert out.tolist() == [1, 3, 2]

    @pytest.mark.parametrize(
        ("out", "error", "message"),
        [
            ([0.0] * 3, TypeError, "out: got list, expected a writeable C-contiguous array"),
            (np.empty(4), ValueError, r"out: got shape \(4,\), .* expected .* shape \(3,\)"),
            (np.empty(3, np.float32), ValueError, "got .*float32.*expected .*float64"),
            (np.empty(6)[::2], ValueError, "flags not C"),
            (np.broadcast_to(0.0, 3), ValueError, "read-only"),
        ],
    )
    def test_rejects(self, k, out, error, message):
        with pytest.raises(error, match=message):
            k([1.0, 2.0], [1.0, 1.0], out=out)

    def test_rejects_overlap(self, k):
        buffer = np.ones(5)
        with pytest.raises(ValueError, match="out: got an array that overlaps an input"):
            k(buffer[:2], [1.0, 1.0], out=buffer[1:4])

    def test_kernels_that_cannot(self):
        k = register("fresh_only")
        assert not k.writes_in_place
        with pytest.raises(Unsupported, match="convolve by fresh_only: it cannot write into"):
            k([1.0, 2.0], [1.0, 1.0], out=np.empty(3))


def test_workspace_counts_result_and_temporaries():
    bind = kernels.operation("convolve").bind
    plain = register("plain")
    costly = register("costly", workspace=lambda signal, taps, *, mode: 10 * signal.nbytes)
    arguments = bind(np.ones(7, np.float32), np.ones(4, np.float32))
    assert plain.workspace_bytes(arguments) == 10 * 4
    assert costly.workspace_bytes(arguments) == 10 * 4 + 10 * 7 * 4
