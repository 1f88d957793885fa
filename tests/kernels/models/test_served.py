"""Models as kernels: what a list names is timed and checked like any implementation."""

import json

import numpy as np
import pytest

from convgrad import kernels
from convgrad.kernels import Case, models, registry
from convgrad.kernels.compression import quantise
from convgrad.kernels.models import served
from convgrad.kernels.operation import error_ratio

SHAPE, CLASSES = (1, 8, 8), 10


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """Whatever a test registers is gone after it."""
    kernels.operations()
    copy = {name: dict(known) for name, known in registry._kernels.items()}
    monkeypatch.setattr(registry, "_kernels", copy)


def listed(folder, **entries):
    path = folder / "models.json"
    default = {"family": "dense", "parameters": 650, "flops": 1280, "bytes": 2600}
    path.write_text(
        json.dumps([{"name": name, **default, **entry} for name, entry in entries.items()])
    )
    return path


@pytest.fixture
def inputs():
    return np.random.default_rng(0).random((5, *SHAPE), np.float32)


def test_an_operation_without_kernels_is_none_to_choose_from():
    assert "predict" not in kernels.operations()
    assert kernels.operation("predict").name == "predict"


def test_a_listed_model_is_a_kernel(tmp_path, inputs):
    model = models.cnn(SHAPE, [(4, (3, 3))], [], CLASSES)
    model.save(tmp_path / "mine.safetensors")
    served.serve(listed(tmp_path, mine={"file": "mine.safetensors"}))
    kernel = kernels.get("predict", "mine")
    scale = np.linspace(-1, 1, CLASSES, dtype=np.float32)
    assert np.array_equal(kernel(inputs, scale), model.predict(inputs) * scale)
    case = Case.of("predict", data="digits", shape=SHAPE, classes=CLASSES, batch=7)
    cost = kernel.cost_at(case)
    assert (cost.parameters, cost.flops, cost.kept_bytes) == (650, 7 * 1280, 2600)
    assert cost.elements == 7 * (64 + 10)
    assert case.inputs().arrays[0].shape == (7, *SHAPE)


def test_a_model_that_could_not_be_trained_says_why(tmp_path, inputs):
    served.serve(listed(tmp_path, mine={"file": "none", "missing": "loss: got nan"}))
    with pytest.raises(kernels.Unsupported, match="loss: got nan"):
        kernels.get("predict", "mine")(inputs, np.ones(CLASSES, np.float32))


@pytest.mark.parametrize("way", [lambda model, inputs: model, lambda m, x: quantise(m, x)[0]])
def test_right_is_what_the_same_model_gives_in_float64(tmp_path, inputs, way):
    model = way(models.mlp(SHAPE, [32, 32], CLASSES), inputs)
    model.save(tmp_path / "a.safetensors")
    other = way(models.mlp(SHAPE, [32, 32], CLASSES, seed=1), inputs)
    other.save(tmp_path / "b.safetensors")
    entries = {name: {"file": f"{name}.safetensors"} for name in "ab"}
    served.serve(listed(tmp_path, **entries))
    scale = np.ones(CLASSES, np.float32)
    operation = kernels.operation("predict")
    references = operation.references(["a", "b"], inputs, scale)
    assert references["a"].dtype == np.float64
    for name, reference in references.items():
        output = kernels.get("predict", name)(inputs, scale)
        bound = operation.bound(name, inputs, scale)
        assert error_ratio(output, reference, bound) < 1
        assert error_ratio(1.1 * output, reference, bound) > 1
        others = references["b" if name == "a" else "a"]
        assert error_ratio(output, others, bound) > 1


def test_fresh_models_share_nothing(tmp_path, inputs):
    models.softmax_regression(SHAPE, CLASSES).save(tmp_path / "a.safetensors")
    served.serve(listed(tmp_path, a={"file": "a.safetensors"}))
    kernel = kernels.get("predict", "a")
    fresh = kernel.afresh()
    scale = np.ones(CLASSES, np.float32)
    assert np.array_equal(fresh(inputs, scale), kernel.function(inputs, scale))
    assert fresh.model is not kernel.function.model
