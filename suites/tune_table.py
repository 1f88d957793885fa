"""The table that ``convgrad tune`` writes, and what it keeps of an older one."""

import json


def short(seconds):
    """Seconds as a table keeps them; None stays."""
    return None if seconds is None else float(f"{seconds:.4g}")


def with_older(content, older, add=False):
    """Add what an older table knows besides, if machine and libraries are the same.

    That is other operations, other kinds, and of a kind other dtypes and numbers of threads.

    Parameters
    ----------
    content : dict
    older : Timetable or None
    add : bool
        Keep what it knows of the same kinds, dtypes and threads as well.
    """
    if older is None or any(
        older.content.get(part) != content[part] for part in ("machine", "libraries")
    ):
        return content
    before, now = older.content["timings"], content["timings"]
    together = {name: _kinds(before.get(name, []), now.get(name, []), add) for name in before | now}
    return content | {"timings": together}


def _kinds(older, newer, add):
    groups = {group["kind"]: group for group in older}
    for group in newer:
        kind = group["kind"]
        groups[kind] = _points(groups[kind], group, add) if kind in groups else group
    return list(groups.values())


def _points(older, newer, add):
    """All points of a newer group; of an older one those of other dtypes or threads, or all.

    None that have other coordinates: what sizes are described by has changed since.
    """
    measured = set() if add else {tuple(point[-2:]) for point in newer["points"]}
    axes = {len(point) for point in newer["points"]}
    kept = [
        i
        for i, point in enumerate(older["points"])
        if tuple(point[-2:]) not in measured and len(point) in axes
    ]
    columns = {name: [values[i] for i in kept] for name, values in older["seconds"].items()}
    known = {name for name, values in columns.items() if any(values)} | newer["seconds"].keys()
    absent = {"older": [None] * len(kept), "newer": [None] * len(newer["points"])}
    return newer | {
        "points": [older["points"][i] for i in kept] + newer["points"],
        "seconds": {
            name: columns.get(name, absent["older"]) + newer["seconds"].get(name, absent["newer"])
            for name in sorted(known)
        },
    }


def write(content, path):
    """Write a table where it belongs, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":")).replace('{"kind"', '\n{"kind"') + "\n"
    beside = path.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
