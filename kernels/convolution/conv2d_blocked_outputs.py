"""Outputs of blocked layers: by the taps that see pixels, and written to planes."""

import numpy as np
from numba import njit

from convgrad.kernels import vector


def reached(axes, step, apart, size, by_tap):
    """Outputs along one axis that see pixels by the same taps, which lie side by side, or by one.

    Parameters
    ----------
    axes : sequence of Axis
        Outputs of one lie ``apart``; the taps of all are counted on.
    step : int
        Pixels from what one output sees to what the next does.
    apart, size : int
    by_tap : bool
        One tap at a time: an output is there as often as taps see pixels.

    Returns
    -------
    ndarray, shape (runs, 4)
        First output, and where those that lie ``apart`` end; first tap and the one after the last.
    """
    tables, taps = [], 0
    for axis in axes:
        table = (_by_tap if by_tap else _by_taps)(axis.count, step, axis.shifts, size)
        table[:, :2] = table[:, :2] * apart + axis.first
        table[:, 2:] += taps
        tables.append(table)
        taps += len(axis.shifts)
    return np.concatenate(tables)


def _by_taps(count, step, shifts, size):
    if not shifts:
        return np.array([(0, count, 0, 0)])
    places = np.add.outer(np.arange(count) * step, np.array(shifts))
    seen = (places >= 0) & (places < size)
    low, high = seen.argmax(1), len(shifts) - seen[:, ::-1].argmax(1)
    taps = np.stack([low, np.where(seen.any(1), high, low)], 1)
    starts = np.flatnonzero(np.append(True, np.any(taps[1:] != taps[:-1], axis=1)))
    return np.column_stack([starts, np.append(starts[1:], count), taps[starts]])


def _by_tap(count, step, shifts, size):
    places = np.add.outer(np.array(shifts, np.int64), np.arange(count) * step)
    seen = (places >= 0) & (places < size)
    taps = np.flatnonzero(seen.any(1))
    seen = seen[taps]
    return np.column_stack([seen.argmax(1), count - seen[:, ::-1].argmax(1), taps, taps + 1])


@njit(cache=True)
def sort_outputs(rows, columns, own, sides, apart, pitches, seen, places, runs):
    """Sort some rows of outputs, of one image after the other, by the taps that see pixels.

    Parameters
    ----------
    rows, columns : ndarray
        From `reached`.
    own : (int, int)
        First row, and the one after the last.
    sides : (int, int)
        Rows and columns of the outputs of an image.
    apart : int
        See `reached`.
    pitches : (int, int, int)
        Of what the outputs see: from image to image, from row to row, and from one to the next.
    seen, places : ndarray
        Are set: where what an output sees begins, and its number among these. The last one of
        a run stands there twice.
    runs : ndarray
        Is set: first output and the one after the last, and the taps: rows from, to, columns
        from, to.

    Returns
    -------
    int
        Number of runs.
    """
    count = number = 0
    for i in range(len(rows)):
        for j in range(len(columns)):
            begin = count
            for image in range(own[0] // sides[0], (own[1] - 1) // sides[0] + 1):
                above = image * sides[0]
                low = rows[i, 0]
                low += max(own[0] - above - low + apart - 1, 0) // apart * apart
                for y in range(low, min(rows[i, 1], own[1] - above), apart):
                    at = image * pitches[0] + y // apart * pitches[1]
                    at += columns[j, 0] // apart * pitches[2]
                    for x in range(columns[j, 0], columns[j, 1], apart):
                        seen[count], at = at, at + pitches[2]
                        places[count] = (above + y - own[0]) * sides[1] + x
                        count += 1
            if count > begin:
                runs[number, 0], runs[number, 1] = begin, count
                for end in range(2):
                    runs[number, 2 + end] = rows[i, 2 + end]
                    runs[number, 4 + end] = columns[j, 2 + end]
                seen[count], places[count] = seen[count - 1], places[count - 1]
                number, count = number + 1, count + 1
    return number


@njit(cache=True)
def unpack_row(sums, at, step, count, plane, square, result, place):
    """Write the outputs of a row, a vector of filters each, to the planes of ``plane`` filters."""
    lanes = vector.width(sums)
    filters, size = plane
    for column in range(0, count, lanes):
        # The last tile reaches back to be whole: parts of one take longer.
        x = max(min(column, count - lanes), 0)
        some = min(lanes, count - x)
        tile = vector.load_tile(sums, at + x * step, step, lanes, lanes)
        if filters == lanes and some == lanes:
            vector.store_tile(result, place + x, size, vector.transpose(tile))
            continue
        vector.store_tile(square, 0, lanes, vector.transpose(tile))
        for i in range(filters):
            kept = vector.load(square, i * lanes, lanes)
            vector.store_first(result, place + x + i * size, kept, some)


@njit(cache=True)
def write_outputs(sums, vectors, first, own, square, result):
    """Write the outputs of some rows with ``vectors`` vectors of filters from ``first`` on."""
    lanes, flat = vector.width(sums), result.reshape(-1)
    filters, height, across = result.shape[1:]
    row = own[0]
    while row < own[1]:
        image, y = row // height, row % height
        some = min(own[1] - row, height - y)
        for part in range(vectors):
            number = (first + part) * lanes
            plane = min(lanes, filters - number), height * across
            place = (image * filters + number) * plane[1] + y * across
            at = ((row - own[0]) * across * vectors + part) * lanes
            unpack_row(sums, at, vectors * lanes, some * across, plane, square, flat, place)
        row += some
