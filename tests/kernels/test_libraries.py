"""Every kernel against SciPy and torch in float64, at a few hundred random arguments each."""

import functools

import numpy as np
import pytest
import scipy.signal
from hypothesis import HealthCheck, Phase, given, settings

from convgrad.kernels import examples, find, operation
from convgrad.kernels.examples import LAYER
from convgrad.kernels.operation import error_ratio

DRAWN = 200
PYTHON_LOOPS = 50


@functools.cache
def drawn(name):
    """The same random arguments in every test, with what the library makes of them."""
    found = []

    @settings(
        max_examples=DRAWN,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(examples.STRATEGIES[name])
    def collect(example):
        arrays = example.arrays("float64", seed=len(found))
        definition = operation(name)
        arguments = definition.bind(**arrays, **example.options)
        expected = LIBRARY[name](*arguments.arrays, **arguments.options)
        found.append((example, arrays, arguments, expected))

    collect()
    assert len(found) == DRAWN
    return found


def scipy_convolve(signal, taps, *, mode):
    return scipy.signal.convolve(signal, taps, mode, "direct")


def torch_layer(images, filters, *, stride, padding, dilation, groups):
    """Torch's conv2d; zeros are written out, since its own padding is symmetric."""
    import torch

    (top, bottom), (left, right) = padding
    padded = torch.nn.functional.pad(images, (left, right, top, bottom))
    return torch.nn.functional.conv2d(
        padded, filters, stride=stride, dilation=dilation, groups=groups
    )


def tensors(*arrays):
    import torch

    return [torch.tensor(array, requires_grad=True) for array in arrays]


def torch_conv2d(images, filters, **options):
    return torch_layer(*tensors(images, filters), **options).detach().numpy()


def torch_filter_gradient(images, output_gradient, *, filter_size, groups, **options):
    shape = operation("conv2d_filter_gradient").output_shape(
        images, output_gradient, filter_size=filter_size, groups=groups
    )
    images, filters, gradient = tensors(images, np.zeros(shape), output_gradient)
    torch_layer(images, filters, groups=groups, **options).backward(gradient)
    return filters.grad.numpy()


def torch_input_gradient(output_gradient, filters, *, image_size, groups, **options):
    shape = operation("conv2d_input_gradient").output_shape(
        output_gradient, filters, image_size=image_size, groups=groups
    )
    images, filters, gradient = tensors(np.zeros(shape), filters, output_gradient)
    torch_layer(images, filters, groups=groups, **options).backward(gradient)
    return images.grad.numpy()


def torch_descent(predict, targets, weights, *, iterations, step, l2, l1):
    """Steps along the gradient that autograd finds of the objective as it is written down."""
    import torch

    targets = torch.tensor(targets)
    for _ in range(iterations):
        (weights,) = tensors(weights)
        smooth = ((predict(weights) - targets) ** 2).sum() / 2 + l2 / 2 * (weights**2).sum()
        smooth.backward()
        moved = weights.detach() - step * weights.grad
        weights = torch.nn.functional.softshrink(moved, step * l1).numpy()
    return weights


def torch_fit_linear(features, targets, *, weights, **options):
    (features,) = tensors(features)
    return torch_descent(lambda w: features.detach() @ w, targets, weights, **options)


def torch_fit_filter(signal, targets, *, weights, taps, **options):
    import torch

    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[signal.ndim - 1]
    padded = torch.tensor(np.pad(signal, [(k - 1, 0) for k in taps]))[None, None]
    axes = tuple(range(signal.ndim))

    def predict(w):
        return convolve(padded, torch.flip(w, axes)[None, None])[0, 0]

    return torch_descent(predict, targets, weights, **options)


LIBRARY = {
    "convolve": scipy_convolve,
    "conv2d": torch_conv2d,
    "conv2d_filter_gradient": torch_filter_gradient,
    "conv2d_input_gradient": torch_input_gradient,
    "fit_linear": torch_fit_linear,
    "fit_filter": torch_fit_filter,
}


KERNELS = [k for k in find(device="cpu") if k.operation in LIBRARY]


@pytest.mark.parametrize("k", KERNELS, ids=lambda k: f"{k.operation}-{k.name}")
def test_kernel_agrees_with_the_library(k):
    if k.operation != "convolve":
        pytest.importorskip("torch")
    definition, served = operation(k.operation), 0
    count = PYTHON_LOOPS if k.name == "python_loops" else DRAWN
    for example, arrays, arguments, expected in drawn(k.operation)[:count]:
        if k.why_not_bound(arguments) is not None:
            continue
        served += 1
        # Both round: the kernel as its algorithm does, the library as a direct sum.
        bounds = (
            definition.bound(algorithm, *arguments.arrays, **arguments.options)
            for algorithm in (k.algorithm, "direct")
        )
        ratio = error_ratio(k(**arrays, **example.options), expected, sum(bounds))
        assert ratio <= 1, f"{example}: {ratio:.3g} times the bound"
    assert served


@pytest.mark.parametrize("name", LIBRARY)
def test_reference_agrees_with_the_library(name):
    if name != "convolve":
        pytest.importorskip("torch")
    definition = operation(name)
    for example, _, (arrays, options), expected in drawn(name):
        reference = definition.reference(*arrays, **options)
        bound = definition.bound("direct", *arrays, **options)
        assert error_ratio(expected, reference, bound) <= 1, str(example)


@pytest.mark.parametrize("name", LIBRARY)
def test_arguments_are_not_all_alike(name):
    if name != "convolve":
        pytest.importorskip("torch")
    options = [example.options for example, *_ in drawn(name)]
    assert len({str((e.shapes, e.options)) for e, *_ in drawn(name)}) > DRAWN / 2
    if name == "convolve":
        assert {o["mode"] for o in options} == {"full", "same", "valid"}
    elif name in LAYER:
        assert {o["stride"] for o in options} == {1, 2, 3}
        assert {o["groups"] for o in options} == {1, 2, 3, 9}
        assert {type(o["padding"]) for o in options} == {str, int, tuple}
    else:
        assert {"weights" in e.shapes for e, *_ in drawn(name)} == {True, False}
        assert any(o["l1"] and o["l2"] and o["step"] for o in options)
