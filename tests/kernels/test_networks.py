"""Whole networks against PyTorch's own modules, and against what is known of their sizes."""

import numpy as np
import pytest

from convgrad import kernels
from convgrad.kernels import Case
from convgrad.kernels.networks import residual
from convgrad.kernels.networks.reference import Definition


def test_resnet_18_has_the_parameters_that_are_published():
    """11,689,512 with a bias of the head, and two numbers of each normalised channel for one."""
    case = Case.of("residual_network")
    biases = sum(layer.filters[0] for layer in residual.layers(3, (64, 128, 256, 512), (2,) * 4))
    assert case.parameters == 11_689_512 - 1000 - biases
    assert case.flops == pytest.approx(3.6e9, rel=0.1)


def test_parameters_are_split_without_a_rest():
    own = residual.layers(3, (4, 6), (2, 1))
    count = residual.count(3, (4, 6), (2, 1))
    seen = []
    for layer, filters, bias in residual.split(np.arange(count), own):
        assert filters.shape == layer.filters
        assert bias.shape == layer.filters[:1]
        seen += [*filters.ravel(), *bias]
    assert seen == list(range(count))


def test_halvings_are_those_of_the_network():
    class Watching(Definition):
        def convolve(self, images, layer, filters, bias, **options):
            seen.append((images.shape[2], layer.halvings))
            return super().convolve(images, layer, filters, bias, **options)

    seen, sizes = [], ((4, 6, 7), (2, 1, 2))
    parameters = np.ones(residual.count(3, *sizes))
    residual.features(Watching(), np.ones((1, 3, 37, 37)), parameters, *sizes)
    assert len(seen) == len(residual.layers(3, *sizes))
    assert all(side == -(-37 // 2**halvings) for side, halvings in seen)


def test_it_is_what_modules_of_torch_make():
    torch = pytest.importorskip("torch")
    arrays, options = Case.of(
        "residual_network", "float64", side=33, widths=(4, 6), blocks=(1, 2)
    ).inputs()
    own = iter(residual.split(torch.from_numpy(arrays[2]), residual.layers(3, (4, 6), (1, 2))))

    def convolution():
        layer, filters, bias = next(own)
        made = torch.nn.Conv2d(
            *layer.filters[1::-1],
            layer.filters[2],
            layer.stride,
            layer.filters[2] // 2,
            dtype=torch.float64,
        )
        made.weight.data, made.bias.data = filters, bias
        return made

    class Block(torch.nn.Module):
        def __init__(self, projected):
            super().__init__()
            self.inner = torch.nn.Sequential(convolution(), torch.nn.ReLU(), convolution())
            self.shortcut = convolution() if projected else torch.nn.Identity()

        def forward(self, seen):
            return torch.relu(self.inner(seen) + self.shortcut(seen))

    network = torch.nn.Sequential(
        *(convolution(), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)),
        *(Block(False), Block(True), Block(False)),
        *(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
    )
    with torch.no_grad():
        expected = network(torch.from_numpy(arrays[0])).numpy() @ arrays[1].T
    for kernel in kernels.find("residual_network", device="cpu"):
        np.testing.assert_allclose(kernel.function(*arrays, **options), expected, rtol=1e-9)
