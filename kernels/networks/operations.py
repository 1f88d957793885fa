"""What the networks compute, what they accept, and what they cost."""

import numpy as np

from convgrad.kernels.networks import residual
from convgrad.kernels.networks.reference import Definition
from convgrad.kernels.operation import Arguments, Cost, Operation
from convgrad.kernels.registry import operation, register_operation
from convgrad.kernels.validation import arrays, integer, rank, reject

AGREEMENT = 1e-4
"""Of the largest feature: what a float32 result may be off by.

Bounds of a layer multiply from one to the next, and say nothing after 18 of them; this is what
results of different algorithms are asked to agree to. Others follow with their epsilon.
"""


@register_operation
class ResidualNetwork(Operation):
    """Scores of images by a residual network, batch normalisation folded into its layers."""

    name = "residual_network"
    odd = "head"
    sizes = {
        "batch": 1,
        "channels": 3,
        "side": 224,
        "widths": (64, 128, 256, 512),
        "blocks": (2, 2, 2, 2),
        "classes": 1000,
    }
    named_cases = {
        "tiny": {"side": 16, "widths": (4, 6), "blocks": (1, 1), "classes": 3},
        "ResNet-18": {},
        "ResNet-18, 8 images": {"batch": 8},
    }

    def bind(self, images, head, parameters, *, widths, blocks):
        """Validate a call.

        Parameters
        ----------
        images : array_like, shape (batch, channels, height, width)
        head : array_like, shape (classes, features)
            A row of weights for each class; there are ``widths[-1]`` features.
        parameters : array_like, 1-D
            Filters (OIHW) and bias of one layer after the other, as
            `convgrad.kernels.networks.residual.layers` lists them.
        widths, blocks : sequence of int
            Channels and blocks of each stage.

        Returns
        -------
        Arguments
            (images, head, parameters), {widths, blocks}; the result has shape (batch, classes).
        """
        images, head, parameters = arrays(images=images, head=head, parameters=parameters)
        rank("images", images, 4)
        rank("head", head, 2)
        rank("parameters", parameters, 1)
        widths, blocks = _counts("widths", widths), _counts("blocks", blocks)
        if len(widths) != len(blocks):
            reject("blocks", blocks, f"{len(widths)} numbers, one for each width")
        if head.shape[1] != widths[-1]:
            reject("head", f"{head.shape[1]} columns", f"{widths[-1]}, the last of the widths")
        expected = residual.count(images.shape[1], widths, blocks)
        if parameters.size != expected:
            reject("parameters", f"{parameters.size} numbers", f"{expected}, of all layers")
        return Arguments((images, head, parameters), {"widths": widths, "blocks": blocks})

    def output_shape(self, images, head, parameters, **_):
        return len(images), len(head)

    def definition(self, images, head, parameters, *, widths, blocks):
        seen = residual.features(Definition(), images, parameters, widths, blocks)
        return seen @ head.T

    def bound(self, algorithm, images, head, parameters, *, widths, blocks):
        wide = (array.astype(np.float64) for array in (images, parameters))
        seen = residual.features(Definition(), *wide, widths, blocks)
        weights = np.abs(head.astype(np.float64)).sum(axis=1)
        share = AGREEMENT * float(np.finfo(images.dtype).eps / np.finfo(np.float32).eps)
        return share * np.multiply.outer(seen.max(axis=1), weights)

    def cost(self, *, batch, channels, side, widths, blocks, classes):
        flops, layer_of = 2 * batch * widths[-1] * classes, operation("conv2d")
        for filters, stride, halvings in residual.layers(channels, widths, blocks):
            seen, (count, before, taps, _) = -(-side // 2**halvings), filters
            flops += layer_of.cost(
                **{"batch": batch, "channels": before, "height": seen, "width": seen},
                **{"filters": count, "filter_height": taps, "filter_width": taps},
                **{"stride": stride, "padding": taps // 2, "dilation": 1, "groups": 1},
            ).flops
        parameters = residual.count(channels, widths, blocks) + widths[-1] * classes
        elements = batch * (channels * side**2 + classes) + parameters
        return Cost(parameters, flops, elements, elements)

    def shapes(self, *, batch, channels, side, widths, blocks, classes):
        shapes = {
            "images": (batch, channels, side, side),
            "head": (classes, widths[-1]),
            "parameters": (residual.count(channels, widths, blocks),),
        }
        return shapes, {"widths": widths, "blocks": blocks}

    def random_arrays(self, generator, shapes, *, channels, widths, blocks, **_):
        """Filters as a network starts with them (He, Zhang, Ren and Sun, 2015), small biases."""
        images, head, parameters = super().random_arrays(generator, shapes)
        for layer, filters, bias in residual.split(
            parameters, residual.layers(channels, widths, blocks)
        ):
            filters *= np.sqrt(2 / np.prod(layer.filters[1:]))
            bias *= 0.1
        return images, head / np.sqrt(widths[-1]), parameters


def _counts(argument, values):
    if not isinstance(values, (tuple, list)) or not values:
        reject(argument, values, "a sequence of whole numbers")
    return tuple(integer(argument, value, at_least=1) for value in values)
