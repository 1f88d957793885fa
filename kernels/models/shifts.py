"""Batches of images, each moved by some pixels: more to learn from than there is."""

from numba import njit, prange


@njit(cache=True, parallel=True)
def take_shifted(images, rows, shifts, batch):
    """Copy some images, moved down and right, with zeros where nothing comes in.

    Parameters
    ----------
    images : ndarray, shape (count, channels, height, width)
    rows : ndarray of int, shape (batch,)
    shifts : ndarray of int, shape (batch, 2)
        Rows and columns, up or left where negative.
    batch : ndarray, shape (batch, channels, height, width)
        Takes the result.
    """
    channels, height, width = images.shape[1:]
    none = images.dtype.type(0)
    for number in prange(len(rows)):
        image, down, right = rows[number], shifts[number, 0], shifts[number, 1]
        for channel in range(channels):
            for y in range(height):
                for x in range(width):
                    inside = 0 <= y - down < height and 0 <= x - right < width
                    pixel = images[image, channel, y - down, x - right] if inside else none
                    batch[number, channel, y, x] = pixel
