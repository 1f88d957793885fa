"""Files of layers: arrays in safetensors, and only what is not zero where zeros prevail."""

import json
from math import prod

import numpy as np


def encode(arrays, **texts):
    """Contents of a file.

    An array of rows is written as compressed rows where that is shorter: values that are not
    zero, the column of each, and how many there are in each row. Columns and counts have the
    smallest unsigned type that is wide enough; the shape is in the file's metadata.

    Parameters
    ----------
    arrays : dict of str to ndarray
    **texts : str
        Go into the file's metadata.

    Returns
    -------
    bytes
    """
    from safetensors.numpy import save

    written, shapes = {}, {}
    for name, array in arrays.items():
        parts = compress(array) if array.ndim > 1 else None
        if parts and sum(part.nbytes for part in parts.values()) < array.nbytes:
            shapes[name] = array.shape
            written |= {f"{name}.{part}": numbers for part, numbers in parts.items()}
        else:
            written[name] = np.ascontiguousarray(array)
    if shapes:
        texts["compressed"] = json.dumps(shapes)
    return save(written, texts or None)


def read(path):
    """Read a file.

    Returns
    -------
    dict of str to ndarray
        By name, zeros included.
    dict of str to str
        Its texts.
    """
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        texts = file.metadata() or {}
    for name, shape in json.loads(texts.pop("compressed", "{}")).items():
        arrays[name] = spread({part: arrays.pop(f"{name}.{part}") for part in PARTS}, shape)
    return arrays, texts


PARTS = "values", "columns", "counts"
"""Of compressed rows: what is not zero, where it is, and how much of it a row has."""


def compress(array):
    """Compressed rows of an array, as a dict of `PARTS`."""
    flat = array.reshape(len(array), -1)
    rows, columns = np.nonzero(flat)
    width = np.min_scalar_type(flat.shape[1])
    counts = np.bincount(rows, minlength=len(flat))
    return dict(zip(PARTS, (flat[rows, columns], columns.astype(width), counts.astype(width))))


def spread(parts, shape):
    """Make an array of its compressed rows, with its zeros."""
    values, columns, counts = (parts[part] for part in PARTS)
    array = np.zeros((shape[0], prod(shape[1:])), values.dtype)
    array[np.repeat(np.arange(len(array)), counts), columns] = values
    return array.reshape(shape)
