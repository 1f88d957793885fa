"""The arithmetic of networks by definition, in whatever precision the arrays have."""

import numpy as np

from convgrad.kernels.convolution import reference
from convgrad.kernels.convolution.geometry import output_sides


class Definition:
    """What `residual.features` asks for, one part after the other."""

    def convolve(self, images, layer, filters, bias, added=None, rectified=True):
        taps = layer.filters[2:]
        padding = [(side // 2, side // 2) for side in taps]
        sides = output_sides(images.shape[2:], taps, layer.stride, padding, 1)
        outputs = reference.conv2d(
            *(images, filters),
            **{"stride": layer.stride, "padding": padding, "dilation": 1, "groups": 1},
            output_size=sides,
        )
        outputs = outputs + bias[:, np.newaxis, np.newaxis] + (0 if added is None else added)
        return np.maximum(outputs, 0) if rectified else outputs

    def pool(self, images):
        around = ((0, 0), (0, 0), (1, 1), (1, 1))
        padded = np.pad(images, around, constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        return windows[:, :, ::2, ::2].max((4, 5))
