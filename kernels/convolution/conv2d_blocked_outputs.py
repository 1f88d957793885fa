"""Outputs of blocked layers: by the taps that see pixels, and written to planes."""

import numpy as np
from numba import njit

from convgrad.kernels import vector


def reached(count, step, shifts, size):
    """Outputs along one axis that see pixels by the same taps, which lie side by side.

    Returns
    -------
    ndarray, shape (runs, 4)
        First output and the one after the last; first tap and the one after the last.
    """
    places = np.add.outer(np.arange(count) * step, np.array(shifts))
    seen = (places >= 0) & (places < size)
    low, high = seen.argmax(1), len(shifts) - seen[:, ::-1].argmax(1)
    taps = np.stack([low, np.where(seen.any(1), high, low)], 1)
    starts = np.flatnonzero(np.append(True, np.any(taps[1:] != taps[:-1], axis=1)))
    return np.column_stack([starts, np.append(starts[1:], count), taps[starts]])


def reached_by_tap(count, step, shifts, size):
    """Outputs along one axis that see pixels by a tap, in the form of `reached`.

    Returns
    -------
    ndarray, shape (taps that see pixels, 4)
    """
    places = np.add.outer(np.array(shifts), np.arange(count) * step)
    seen = (places >= 0) & (places < size)
    taps = np.flatnonzero(seen.any(1))
    seen = seen[taps]
    return np.column_stack([seen.argmax(1), count - seen[:, ::-1].argmax(1), taps, taps + 1])


@njit(cache=True)
def sort_outputs(rows, columns, own, sides, pitches, seen, places, runs):
    """Sort some rows of outputs, of one image after the other, by the taps that see pixels.

    Parameters
    ----------
    rows, columns : ndarray
        From `reached`.
    own : (int, int)
        First row, and the one after the last.
    sides : (int, int)
        Rows and columns of the outputs of an image.
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
            for row in range(own[0], own[1]):
                y = row % sides[0]
                if rows[i, 0] <= y < rows[i, 1]:
                    at = row // sides[0] * pitches[0] + y * pitches[1]
                    for x in range(columns[j, 0], columns[j, 1]):
                        seen[count] = at + x * pitches[2]
                        places[count] = (row - own[0]) * sides[1] + x
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
def unpack_row(sums, at, step, count, plane, square, result, place, apart):
    """Write the outputs of a row, a vector of filters each, to the planes of ``plane`` filters."""
    lanes = vector.width(sums)
    filters, size = plane
    for column in range(0, count, lanes):
        # The last tile reaches back to be whole: parts of one take longer.
        x = max(min(column, count - lanes), 0) if apart == 1 else column
        some = min(lanes, count - x)
        tile = vector.load_tile(sums, at + x * step, step, lanes, lanes)
        to = place + x * apart
        if apart == 1 and filters == lanes and some == lanes:
            vector.store_tile(result, to, size, vector.transpose(tile))
            continue
        vector.store_tile(square, 0, lanes, vector.transpose(tile))
        for i in range(filters):
            if apart == 1:
                kept = vector.load(square, i * lanes, lanes)
                vector.store_first(result, to + i * size, kept, some)
            else:
                for j in range(some):
                    result[to + i * size + j * apart] = square[i * lanes + j]


@njit(cache=True)
def write_outputs(sums, vectors, first, own, sides, target, square, result):
    """Write the outputs of some rows with ``vectors`` vectors of filters from ``first`` on."""
    lanes, flat = vector.width(sums), result.reshape(-1)
    filters, height, across = result.shape[1:]
    down, beside, apart = target
    row = own[0]
    while row < own[1]:
        image, y = row // sides[0], row % sides[0]
        # Nothing lies between rows that are whole: they are one.
        whole = sides[1] == across and apart == 1
        some = min(own[1] - row, sides[0] - y) if whole else 1
        for part in range(vectors):
            number = (first + part) * lanes
            plane = min(lanes, filters - number), height * across
            place = (image * filters + number) * plane[1] + (down + y * apart) * across + beside
            at = ((row - own[0]) * sides[1] * vectors + part) * lanes
            count = some * sides[1]
            unpack_row(sums, at, vectors * lanes, count, plane, square, flat, place, apart)
        row += some
