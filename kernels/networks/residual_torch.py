"""The residual network with PyTorch, layer by layer, as its eager mode runs it."""

from convgrad.kernels.networks import residual
from convgrad.kernels.registry import kernel


class _Arithmetic:
    def convolve(self, images, layer, filters, bias, added=None, rectified=True):
        from torch.nn import functional

        outputs = functional.conv2d(images, filters, bias, layer.stride, layer.filters[2] // 2)
        if added is not None:
            outputs += added
        return functional.relu_(outputs) if rectified else outputs

    def pool(self, images):
        from torch.nn import functional

        return functional.max_pool2d(images, 3, 2, 1)


def _scores(images, head, parameters, widths, blocks):
    import torch

    with torch.inference_mode():
        seen = residual.features(_Arithmetic(), images, parameters, widths, blocks)
        return (seen @ head.T).numpy()


@kernel("residual_network", family="peer", requires=("torch",), name="torch")
def residual_torch(images, head, parameters, *, widths, blocks):
    """``torch.nn.functional`` on NCHW tensors that share the arrays' memory."""
    return _scores(*_tensors(images, head, parameters), widths, blocks)


@kernel("residual_network", family="peer", requires=("torch",))
def torch_channels_last(images, head, parameters, *, widths, blocks):
    """``torch.nn.functional`` on images that are made channels last first, and stay so."""
    import torch

    seen, *others = _tensors(images, head, parameters)
    seen = seen.contiguous(memory_format=torch.channels_last)
    return _scores(seen, *others, widths, blocks)


def _tensors(*arrays):
    """Tensors of the arrays' memory where PyTorch can take it as it is, else of copies."""
    import torch

    usable = (a.flags.behaved and min(a.strides, default=0) >= 0 for a in arrays)
    return [torch.from_numpy(a if fine else a.copy()) for a, fine in zip(arrays, usable)]
