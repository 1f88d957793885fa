"""Models: gradients against finite differences and PyTorch, closed counts, penalties."""

import numpy as np
import pytest

from convgrad.kernels import models

IMAGE, CLASSES = (1, 6, 7), 3
STAGES = [(4, (3, 3)), (5, (2, 3))]
MODELS = {
    "linear": lambda **o: models.linear(5, l2=0.3, l1=0.2, **o),
    "softmax regression": lambda **o: models.softmax_regression(IMAGE, CLASSES, l2=0.1, **o),
    "mlp": lambda **o: models.mlp(IMAGE, [6, 4], CLASSES, dropout=0.2, **o),
    "cnn": lambda **o: models.cnn(IMAGE, STAGES, [6], CLASSES, dropout=0.2, **o),
    "joined": lambda **o: models.joined(IMAGE, STAGES, CLASSES, **o),
}
PARAMETERS = {
    "linear": 5 + 1,
    "softmax regression": 42 * 3 + 3,
    "mlp": 42 * 6 + 6 + 6 * 4 + 4 + 4 * 3 + 3,
    "cnn": 4 * 9 + 4 + 5 * 4 * 6 + 5 + 5 * 6 + 6 + 6 * 3 + 3,
    "joined": 42 * 3 + 4 * 9 + 4 + 5 * 4 * 6 + 5 + 5 * 3 + 3,
}


def examples(model, count=5, seed=0):
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((count, *model.layers.input_shape))
    if model.layers.output_shape == (1,):
        return inputs, generator.standard_normal(count)
    return inputs, generator.integers(0, CLASSES, count)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_is_that_of_the_loss(name):
    model = MODELS[name](dtype=np.float64)
    inputs, targets = examples(model)

    def loss():
        return model.loss_and_gradient(inputs, targets, np.random.default_rng(3))

    loss()
    gradient, step = model.gradient.copy(), 1e-6
    for i in np.random.default_rng(1).permutation(model.parameters)[:40]:
        kept = model.values[i]
        model.values[i] = kept + step
        above = loss()
        model.values[i] = kept - step
        below = loss()
        model.values[i] = kept
        assert (above - below) / (2 * step) == pytest.approx(gradient[i], abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_follow_the_closed_formula(name):
    assert MODELS[name]().parameters == PARAMETERS[name]


def test_squared_error_is_the_linear_models():
    model = models.linear(4, l2=0.5, l1=0.25, dtype=np.float64)
    inputs, targets = examples(model, count=7)
    weights, bias = model.layers.arrays["0.weights"][0], model.layers.arrays["1.bias"]
    bias[:] = 2
    residuals = targets - inputs @ weights - 2
    expected = residuals @ residuals / 14 + 0.25 * weights @ weights + 0.25 * abs(weights).sum()
    assert model.loss_and_gradient(inputs, targets) == pytest.approx(expected)
    assert model.error(inputs, targets) == pytest.approx(np.mean(residuals**2))


def test_cross_entropy_of_large_outputs_is_finite():
    loss, gradient = models.CrossEntropy()(np.array([[1000.0, 0, -1000]]), np.array([1]))
    assert loss == 1000
    assert gradient.tolist() == [[1, -1, 0]]


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_files_and_predictions(name, tmp_path):
    first, second = MODELS[name](seed=0), MODELS[name](seed=1)
    inputs, targets = examples(first, count=300)
    size = first.save(tmp_path / "model.safetensors")
    assert size == (tmp_path / "model.safetensors").stat().st_size > 4 * first.parameters
    second.load(tmp_path / "model.safetensors")
    assert np.array_equal(first.predict(inputs), second.predict(inputs))
    each = [first.predict(inputs[i : i + 1])[0] for i in (0, 299)]
    assert np.allclose(first.predict(inputs)[[0, 299]], each, atol=1e-5)
    right = np.mean(first.predict(inputs).argmax(axis=1) == targets)
    assert first.accuracy(inputs, targets) == right


class InTorch:
    """The same models in PyTorch, with the weights of ours."""

    def __init__(self, model, stages):
        self.torch = pytest.importorskip("torch")
        self.arrays = [
            self.torch.tensor(array.copy(), requires_grad=True)
            for array in model.layers.arrays.values()
        ]
        self.stages, self.model = stages, model

    def outputs(self, inputs):
        functional, arrays = self.torch.nn.functional, list(self.arrays)
        x = self.torch.from_numpy(inputs)
        for _ in range(self.stages):
            filters, bias = arrays.pop(0), arrays.pop(0)
            top, left = ((k - 1) // 2 for k in filters.shape[2:])
            bottom, right = (k // 2 for k in filters.shape[2:])
            x = functional.pad(x, (left, right, top, bottom))
            x = functional.max_pool2d(functional.conv2d(x, filters, bias).relu(), 2)
        x = x.flatten(1)
        while arrays:
            x = functional.linear(x, arrays.pop(0), arrays.pop(0))
            x = x.relu() if arrays else x
        return x

    def loss(self, inputs, targets):
        outputs, targets = self.outputs(inputs), self.torch.from_numpy(targets)
        if isinstance(self.model.loss, models.SquaredError):
            data = ((outputs[:, 0] - targets) ** 2).mean() / 2
        else:
            data = self.torch.nn.functional.cross_entropy(outputs, targets)
        weights = self.torch.cat([a.flatten() for a in self.arrays if a.ndim > 1])
        return data + self.model.l2 / 2 * (weights**2).sum() + self.model.l1 * abs(weights).sum()


OPTIMISERS = {
    "GradientDescent": ("SGD", {"step": 0.05}, {"lr": 0.05}),
    "Momentum": ("SGD", {"step": 0.02, "decay": 0.8}, {"lr": 0.02, "momentum": 0.8}),
    "Adam": ("Adam", {"step": 0.01}, {"lr": 0.01}),
}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize(
    ("make", "stages"),
    [
        (lambda: models.linear(5, l2=0.3, l1=0.02, dtype=np.float64), 0),
        (lambda: models.mlp(IMAGE, [6, 4], CLASSES, dtype=np.float64), 0),
        (lambda: models.cnn(IMAGE, STAGES, [6], CLASSES, l2=0.01, dtype=np.float64), 2),
    ],
    ids=["linear", "mlp", "cnn"],
)
def test_losses_of_fifty_steps_agree_with_torch(make, stages, optimiser):
    model = make()
    other = InTorch(model, stages)
    inputs, targets = examples(model, count=32)
    theirs, our_options, their_options = OPTIMISERS[optimiser]
    theirs = getattr(other.torch.optim, theirs)(other.arrays, **their_options)
    expected = []
    for at in range(50):
        rows = np.arange(8 * at, 8 * at + 8) % 32
        theirs.zero_grad()
        loss = other.loss(inputs[rows], targets[rows])
        loss.backward()
        theirs.step()
        expected.append(loss.item())
    ours, found = getattr(models, optimiser)(**our_options), []
    for at in range(50):
        rows = np.arange(8 * at, 8 * at + 8) % 32
        found.append(model.loss_and_gradient(inputs[rows], targets[rows]))
        ours.update(model.values, model.gradient)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert sum(found[-4:]) < sum(found[:4])


def test_torch_counts_the_same_parameters():
    nn = pytest.importorskip("torch").nn
    theirs = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 5, (2, 3)), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)),
    )
    count = sum(array.numel() for array in theirs.state_dict().values())
    assert MODELS["cnn"]().parameters == count
