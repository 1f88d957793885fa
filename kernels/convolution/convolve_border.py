"""What outputs at the border of a signal see: copies with zeros around them."""

from numba import njit

from convgrad.kernels import vector

_BYTES = vector.datapath_bytes()


@njit(cache=True)
def copy_box(signal, first, shape, copy):
    """Copy a box of samples from index ``first`` on, zeros where it sticks out.

    Vectors that are written run on into the next row, which is written after them: the copy has
    room for one vector more.
    """
    lanes = vector.lanes_in(_BYTES, signal)
    planes, rows, columns = signal.shape
    left = min(max(-first[2], 0), shape[2])
    zeros = vector.broadcast(copy.dtype.type(0), lanes)
    for plane in range(shape[0]):
        for row in range(shape[1]):
            p, r = first[0] + plane, first[1] + row
            inside = 0 <= p < planes and 0 <= r < rows
            samples = columns - first[2] if inside else 0
            at, seen = (plane * shape[1] + row) * shape[2], (p * rows + r) * columns + first[2]
            for i in range(0, left, lanes):
                vector.store(copy, at + i, zeros)
            for i in range(left, shape[2], lanes):
                vector.store(copy, at + i, vector.load_first(signal, seen + i, lanes, samples - i))
