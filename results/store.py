"""A run folder: raw facts that are only ever appended, readable wherever the writer was killed."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from convgrad.results.schema import KEY, SAMPLE_COLUMNS, STATUSES

_DTYPES = {
    **dict.fromkeys(("operation", "case", "kernel"), str),
    **dict.fromkeys(("threads", "process", "round", "position", "loops"), "int64"),
    **dict.fromkeys(("wall_ns", "cpu_ns"), "float64"),
}


class Run:
    """One execution of suites on one machine.

    Attributes
    ----------
    path : Path
    info : dict
        What ``run.json`` says: command, preset, start, end, state, machine, libraries, roofs.
    """

    def __init__(self, path, info):
        self.path = Path(path)
        self.info = info

    @classmethod
    def create(cls, path, **info):
        """Make a run folder.

        Raises
        ------
        ValueError
            If the folder exists and holds something, or cannot be written.
        """
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise ValueError(f"run folder: got {path}, expected one that is new or empty")
            run = cls(path, {"state": "running", **info})
            run._write_info()
        except OSError as error:
            raise ValueError(
                f"run folder: got {path}, expected a place that can be written ({error.strerror})"
            ) from None
        return run

    @classmethod
    def open(cls, path):
        """Open a run folder that exists.

        Raises
        ------
        ValueError
            If it is no run folder, or its ``run.json`` cannot be understood.
        """
        path = Path(path)
        try:
            info = json.loads((path / "run.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(f"run folder: got {path}, expected a folder with run.json") from None
        except OSError as error:
            raise ValueError(
                f"run folder: got {path}, expected one that can be read ({error.strerror})"
            ) from None
        except ValueError as error:  # not JSON, or not even UTF-8
            raise ValueError(f"run.json in {path}: expected JSON, got {error}") from None
        if not isinstance(info, dict):
            raise ValueError(f"run.json in {path}: expected an object, got {type(info).__name__}")
        return cls(path, info)

    def update(self, **fields):
        """Change fields of ``run.json``, which is replaced as a whole or not at all."""
        self.info = {**self.info, **fields}
        self._write_info()

    def append(self, samples=(), facts=()):
        """Add what is known about cells, durably.

        Samples go first: a cell that has a line in the journal has all its samples.

        Parameters
        ----------
        samples : sequence of dict
            Rows of `SAMPLE_COLUMNS`, all of them named.
        facts : sequence of dict
            The key of a cell and anything else that is known; merged over earlier facts.

        Raises
        ------
        ValueError
            If a column or part of the key is missing or unknown, or the status is no status.
        """
        rows, lines = [_row(sample) for sample in samples], [_line(fact) for fact in facts]
        if rows:
            _extend(self.path / "samples.csv", _csv_text(rows), header=_csv_text([SAMPLE_COLUMNS]))
        if lines:
            _extend(self.path / "journal.jsonl", "".join(lines))

    def samples(self):
        """All samples of cells that the journal knows, as a DataFrame of `SAMPLE_COLUMNS`."""
        text = _whole_lines(self.path / "samples.csv")
        if not text:
            return pd.DataFrame({name: pd.Series(dtype=_DTYPES[name]) for name in SAMPLE_COLUMNS})
        # a kernel may be called "null": nothing is a missing value but an empty CPU time
        try:
            table = pd.read_csv(
                io.BytesIO(text), dtype=_DTYPES, keep_default_na=False, na_values={"cpu_ns": [""]}
            )[list(SAMPLE_COLUMNS)]
        except (ValueError, KeyError) as error:
            raise ValueError(f"samples.csv in {self.path}: {error}") from None
        known = pd.MultiIndex.from_tuples([_key(fact) for fact in self.facts()], names=KEY)
        return table[pd.MultiIndex.from_frame(table[list(KEY)]).isin(known)].reset_index(drop=True)

    def facts(self):
        """What the journal says, one dict a cell, in the order in which cells first appeared."""
        merged = {}
        lines = _whole_lines(self.path / "journal.jsonl").splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                fact = json.loads(line)
                merged.setdefault(_key(fact), {}).update(fact)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"journal.jsonl in {self.path}: line {number} is no fact ({error})"
                ) from None
        return list(merged.values())

    def discard_unfinished(self):
        """Drop what an interrupted writer left: torn lines, and samples without a journal line."""
        _cut_torn_line(self.path / "journal.jsonl")
        path = self.path / "samples.csv"
        if path.exists():
            kept = self.samples()
            _replace(path, kept.to_csv(index=False, lineterminator="\n", float_format="%.15g"))

    def _write_info(self):
        _replace(self.path / "run.json", json.dumps(self.info, indent=2, default=_plain) + "\n")


def _key(fact):
    return tuple(fact[name] for name in KEY)


def _row(sample):
    if set(sample) != set(SAMPLE_COLUMNS):
        odd = sorted(set(sample) ^ set(SAMPLE_COLUMNS))
        raise ValueError(f"sample: got {odd} missing or unknown, expected {list(SAMPLE_COLUMNS)}")
    return [sample[name] for name in SAMPLE_COLUMNS]


def _line(fact):
    missing = [name for name in KEY if name not in fact]
    if missing:
        raise ValueError(f"fact: got no {', '.join(missing)}, expected {', '.join(KEY)} in each")
    if fact.get("status", "ok") not in STATUSES:
        raise ValueError(f"status: got {fact['status']!r}, expected one of {', '.join(STATUSES)}")
    return json.dumps(fact, default=_plain) + "\n"


def _csv_text(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _plain(value):
    """What NumPy, paths and the like are in JSON."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return str(value)


def _extend(path, text, header=""):
    _cut_torn_line(path)
    with open(path, "ab") as file:
        file.write(((header if file.tell() == 0 else "") + text).encode())
        file.flush()
        os.fsync(file.fileno())


def _replace(path, text):
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _whole_lines(path):
    """Content up to the last line end: what follows was being written when the writer died."""
    if not path.exists():
        return b""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def _cut_torn_line(path):
    if path.exists() and path.stat().st_size:
        with open(path, "rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.truncate(len(_whole_lines(path)))
