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
        parts = _compress(array) if array.ndim > 1 else None
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
        values, columns, counts = (arrays.pop(f"{name}.{part}") for part in _PARTS)
        dense = np.zeros((shape[0], prod(shape[1:])), values.dtype)
        dense[np.repeat(np.arange(len(dense)), counts), columns] = values
        arrays[name] = dense.reshape(shape)
    return arrays, texts


_PARTS = "values", "columns", "counts"


def _compress(array):
    flat = array.reshape(len(array), -1)
    rows, columns = np.nonzero(flat)
    width = np.min_scalar_type(flat.shape[1])
    counts = np.bincount(rows, minlength=len(flat))
    return dict(zip(_PARTS, (flat[rows, columns], columns.astype(width), counts.astype(width))))
