"""A run folder: raw facts that are only ever appended, readable wherever the writer was killed."""

import csv
import io
import json
import os
import weakref
from pathlib import Path

import numpy as np
import pandas as pd

from convgrad.results.durable import CannotWrite, cut_torn_line, extend, lock, replace, whole_lines
from convgrad.results.schema import BEFORE, CONTEST, EVIDENCE, KEY, SAMPLE_COLUMNS, STATUSES

__all__ = ["CannotWrite", "Run"]

_DTYPES = {
    **dict.fromkeys(("operation", "case", "kernel", "cache", "call"), str),
    **dict.fromkeys(("threads", "process", "round", "position", "loops"), "int64"),
    **dict.fromkeys(("wall_ns", "cpu_ns"), "float64"),
}


class Run:
    """One execution of suites on one machine; a context manager that lets go of the folder.

    Attributes
    ----------
    path : Path
    info : dict
        What ``run.json`` says: command, preset, start, end, state, machine, libraries, roofs.
    """

    def __init__(self, path, info):
        self.path = Path(path)
        self.info = info
        self._release = None  # of the lock, held by who writes

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Let others write; happens by itself at the end of the process."""
        if self._release:
            self._release()

    @classmethod
    def create(cls, path, **info):
        """Make a run folder, and be its only writer.

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
        except OSError as error:
            raise ValueError(
                f"run folder: got {path}, expected a place that can be written ({error.strerror})"
            ) from None
        run = cls(path, {"state": "running", **info})
        run._lock(run._write_info)
        return run

    @classmethod
    def open(cls, path, *, write=False):
        """Open a run folder that exists.

        Parameters
        ----------
        path : Path
        write : bool
            Whether to become its only writer, and drop what an interrupted one left.

        Raises
        ------
        ValueError
            If it is no run folder, its ``run.json`` cannot be understood, or it is to be written
            and another process does so, or what it holds cannot be understood.
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
        except (ValueError, RecursionError) as error:  # not JSON, or not even UTF-8
            raise ValueError(f"run.json in {path}: expected JSON, got {error}") from None
        if not isinstance(info, dict):
            raise ValueError(f"run.json in {path}: expected an object, got {type(info).__name__}")
        run = cls(path, info)
        if write:
            run._lock(run.discard_unfinished)
        return run

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
            The key of a cell and anything else that is known. Facts with an ``identity`` start
            the cell anew, others are merged over earlier ones.

        Raises
        ------
        ValueError
            If a column or part of the key is missing or unknown, or the status is no status.
        CannotWrite
            If the disk is full, the folder gone or the like; earlier content is kept.
        """
        rows, lines = [_row(sample) for sample in samples], [_line(fact) for fact in facts]
        if rows:
            extend(self.path / "samples.csv", _csv_text(rows), header=_csv_text([SAMPLE_COLUMNS]))
        if lines:
            extend(self.path / "journal.jsonl", "".join(lines))

    def samples(self):
        """All samples of cells that the journal knows, as a DataFrame of `SAMPLE_COLUMNS`.

        Samples of `schema.EVIDENCE` are there where the journal knows a cell of their block.

        Raises
        ------
        ValueError
            If ``samples.csv`` or the journal cannot be understood.
        """
        text = whole_lines(self.path / "samples.csv")
        if not text:
            return pd.DataFrame({name: pd.Series(dtype=_DTYPES[name]) for name in SAMPLE_COLUMNS})
        try:
            table = _parsed(text)
        except (ValueError, OverflowError, csv.Error) as error:
            raise ValueError(
                f"samples.csv in {self.path}: {' '.join(str(error).split())}"
            ) from None
        facts = self.facts()
        known = _among(table, facts, KEY)
        known |= table.kernel.isin(EVIDENCE) & _among(table, facts, CONTEST)
        return table[known].reset_index(drop=True)

    def facts(self):
        """What the journal says, one dict a cell, in the order in which cells first appeared.

        Raises
        ------
        ValueError
            If a line of the journal cannot be understood.
        """
        merged = {}
        lines = whole_lines(self.path / "journal.jsonl").splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                fact = BEFORE | json.loads(line)
                key = _key(fact)
                if fact.get("discarded"):
                    merged.pop(key, None)
                elif "identity" in fact:
                    merged[key] = fact
                else:
                    merged.setdefault(key, {}).update(fact)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ValueError(
                    f"journal.jsonl in {self.path}: line {number} is no fact ({error})"
                ) from None
        return list(merged.values())

    def discard(self, keys):
        """Forget cells, their samples too: they are to be measured anew.

        Parameters
        ----------
        keys : iterable of tuple
            In the order of `KEY`.
        """
        # The journal goes first: samples that it does not know are dropped, now or later.
        self.append(facts=[{**dict(zip(KEY, key)), "discarded": True} for key in keys])
        self.discard_unfinished()

    def discard_unfinished(self):
        """Drop what an interrupted writer left: torn lines, and samples without a journal line."""
        cut_torn_line(self.path / "journal.jsonl")
        path = self.path / "samples.csv"
        if path.exists():
            kept = self.samples()
            replace(path, kept.to_csv(index=False, lineterminator="\n", float_format="%.15g"))

    def _lock(self, begin):
        """Become the only writer, unless what there is to do first fails."""
        self._release = weakref.finalize(self, os.close, lock(self.path / "lock"))
        try:
            begin()
        except BaseException:
            self.close()
            raise

    def _write_info(self):
        replace(self.path / "run.json", json.dumps(self.info, indent=2, default=_plain) + "\n")


def _parsed(text):
    header = next(csv.reader([text.partition(b"\n")[0].decode()]))
    missing = [name for name in SAMPLE_COLUMNS if name not in {*header, *BEFORE}]
    if missing:
        raise ValueError(f"got no column {', '.join(missing)}, expected {', '.join(KEY)} and so on")
    if b"\0" in text:
        line = text[: text.index(b"\0")].count(b"\n") + 1
        raise ValueError(f"got zeros in line {line}, expected text")
    # a kernel may be called "null": nothing is a missing value but an empty CPU time
    table = pd.read_csv(
        io.BytesIO(text), dtype=_DTYPES, keep_default_na=False, na_values={"cpu_ns": [""]}
    )
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f"got rows of more than {len(header)} fields, expected one a column")
    missing = {name: value for name, value in BEFORE.items() if name not in table}
    return table.assign(**missing)[list(SAMPLE_COLUMNS)]


def _among(table, facts, names):
    """Whether each row belongs to one of the facts, judged by some columns of the key."""
    known = pd.MultiIndex.from_tuples([[fact[n] for n in names] for fact in facts], names=names)
    return pd.MultiIndex.from_frame(table[list(names)]).isin(known)


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
