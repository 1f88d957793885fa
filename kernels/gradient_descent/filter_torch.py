"""Filter fit with PyTorch: one convolution layer without bias, trained by autograd."""

from math import prod

import numpy as np

from convgrad.kernels.registry import kernel


def _workspace(signal, targets, *, taps, **_):
    """Padded signal, targets, residuals and their gradient, and four filters."""
    padded = prod(n + k - 1 for n, k in zip(signal.shape, taps))
    return (padded + 3 * targets.size + 4 * prod(taps)) * signal.itemsize


@kernel("fit_filter", family="peer", requires=("torch",), workspace=_workspace)
def torch_autograd(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """``torch.nn.functional.conv1d`` or ``conv2d``, and the backward pass that autograd finds.

    4 n k flops a step in the direct form. The layer correlates, so that it learns the filter
    reversed; penalties act on the weights outside autograd, as an optimiser's would.
    """
    import torch

    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[signal.ndim - 1]
    padded = np.pad(signal, [(k - 1, 0) for k in taps])
    layer_input = torch.from_numpy(padded)[None, None]
    layer_targets = torch.from_numpy(np.array(targets, order="C"))[None, None]
    layer = torch.from_numpy(np.flip(weights).copy())[None, None].requires_grad_()
    for _ in range(iterations):
        with torch.enable_grad():
            loss = (convolve(layer_input, layer) - layer_targets).square().sum() / 2
        (gradient,) = torch.autograd.grad(loss, layer)
        with torch.no_grad():
            layer -= step * (gradient + l2 * layer)
            if l1:
                layer.copy_(torch.nn.functional.softshrink(layer, step * l1))
    return np.flip(layer.detach().numpy()[0, 0]).copy()
