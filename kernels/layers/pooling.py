"""The largest of every 2 x 2 pixels."""

import numpy as np
from numba import njit, prange

from convgrad.kernels.layers.layer import Layer


@njit(cache=True, parallel=True)
def _pool(images, step, largest, places):
    """Images are (planes, height, width); places 0 to 3, the first of equal pixels.

    ``step`` is 2 rows, or 1 where there are no more: it is then above and below itself.
    """
    for plane in prange(len(largest)):
        for row in range(largest.shape[1]):
            above, below = images[plane, step * row], images[plane, step * row + step - 1]
            for column in range(largest.shape[2]):
                value, place = above[2 * column], np.uint8(0)
                other = above[2 * column + 1]
                place = np.uint8(1) if other > value else place
                value = other if other > value else value
                other = below[2 * column]
                place = np.uint8(2) if other > value else place
                value = other if other > value else value
                other = below[2 * column + 1]
                place = np.uint8(3) if other > value else place
                value = other if other > value else value
                largest[plane, row, column] = value
                places[plane, row, column] = place


@njit(cache=True, parallel=True)
def _spread(gradient, places, step, images):
    """Hand each gradient to the pixel that was largest; the other three get zero."""
    none = images.dtype.type(0)
    for plane in prange(len(gradient)):
        for row in range(gradient.shape[1]):
            above, below = images[plane, step * row], images[plane, step * row + step - 1]
            for column in range(gradient.shape[2]):
                value, place = gradient[plane, row, column], places[plane, row, column]
                below[2 * column] = value if place == 2 else none
                below[2 * column + 1] = value if place == 3 else none
                above[2 * column] = value if place == 0 else none
                above[2 * column + 1] = value if place == 1 else none


class MaxPool(Layer):
    """The largest of every 2 x 2 pixels, the first of them if several are; odd rows are dropped.

    Where there is one row alone, as in sound and text, the larger of every two pixels.

    Parameters
    ----------
    input_shape : (int, int, int)
        (channels, height, width).
    """

    def __init__(self, input_shape):
        channels, height, width = input_shape
        self._step = min(height, 2)
        super().__init__(input_shape, (channels, height // self._step, width // 2))

    @property
    def arguments(self):
        return {"input_shape": self.input_shape}

    def forward(self, inputs, generator=None):
        shape = len(inputs), *self.output_shape
        outputs = self.room("outputs", shape, inputs.dtype)
        places = self.room("places", shape, np.uint8)
        _pool(_planes(inputs), self._step, _planes(outputs), _planes(places))
        return outputs

    def backward(self, output_gradient, to_inputs=True):
        shape = len(output_gradient), *self.input_shape
        back = self.room("input gradient", shape, output_gradient.dtype)
        back[:, :, self._step * self.output_shape[1] :] = 0
        back[:, :, :, 2 * self.output_shape[2] :] = 0
        places = self.room("places", output_gradient.shape, np.uint8)
        _spread(_planes(output_gradient), _planes(places), self._step, _planes(back))
        return back


def _planes(images):
    return images.reshape(-1, *images.shape[2:])
