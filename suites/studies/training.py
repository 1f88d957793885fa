"""All models of a run: trained in processes side by side, and kept as they are done."""

import csv
import importlib
import io
import json
import re
import threading
import time
from collections import deque
from contextlib import ExitStack
from functools import cache

from convgrad.kernels import datasets
from convgrad.kernels.data import Missing
from convgrad.results.durable import extend, replace
from convgrad.results.learned import NAME, discard, job_of, learned
from convgrad.results.schema import LEARNED_COLUMNS
from convgrad.suites.studies.made_by import made_by
from convgrad.suites.workers.crew import side_by_side
from convgrad.suites.workers.process import Lost

TIMED_SEED = 0
"""Of the model that is timed; the others say how far accuracy depends on luck."""


class Training:
    """What the studies of a run have to learn before anything is timed.

    Parameters
    ----------
    folder : Path
        Run folder: takes ``learned.csv``, ``models/`` and ``models.json``.
    preset : str
    report : callable
        Called with a line of text for every model.
    say : callable
        Called with a line of text that is to stay.
    """

    def __init__(self, folder, preset, report=lambda text: None, say=lambda text: None):
        self.folder, self.preset, self.report, self.say = folder, preset, report, say
        self.jobs, self.recipes, self.failed = {}, {}, {}
        self.lock = threading.Lock()

    def add(self, module, study, labels):
        """Ask for the models of a study.

        Parameters
        ----------
        module : str
            Where workers find the study, as ``SUITE``.
        study : Study
        labels : iterable of str
            Names of its models that are wanted.
        """
        for recipe in study.needed(self.preset, labels):
            self.recipes[recipe.label] = recipe
            for seed in range(study.seeds[self.preset]):
                self.jobs.setdefault((recipe.label, seed), module)

    def run(self, crew, width):
        """Train what is missing or made in another way, and list all for `kernels.models.served`.

        Parameters
        ----------
        crew : Crew
            Whose processes train, on one thread each.
        width : int
            Processes at a time.

        Returns
        -------
        path
            The list.

        Raises
        ------
        convgrad.results.durable.CannotWrite
        """
        self.waiting = deque(sorted(self.jobs.keys() - self._known(), key=self._order))
        self.ended = {job: threading.Event() for job in self.waiting}
        self.total, self.start = len(self.waiting), time.monotonic()
        (self.folder / "models").mkdir(exist_ok=True)
        if self.waiting:
            crew.begin(1)
            try:
                side_by_side(lambda _: self._work(crew), range(width), width)
            finally:  # an interrupted run begins no other model
                with self.lock:
                    self.waiting.clear()
        return self._list()

    def path(self, label, seed):
        """Where a model is kept."""
        return self.folder / "models" / f"{slug(label)}-{seed}.safetensors"

    def _known(self):
        """Models that are there and are what would be trained; others are forgotten."""
        rows = {job_of(row): row for row in self._rows()}
        found = {job for job in self.jobs.keys() & rows.keys() if self.path(*job).exists()}
        changed = {
            job
            for job in found
            if rows[job]["made_by"]
            != self._made_by(*job, _data_sha256(rows[job]["data"]) or rows[job]["sha256"])
        }
        known = found - changed
        discard(self.folder, (self.jobs.keys() & rows.keys()) - known)
        if changed:
            names = ", ".join(sorted({label for label, _ in changed}))
            self.say(f"trained anew, as recipe, code, data or file has changed: {names}")
        return known

    def _made_by(self, label, seed, data_sha256):
        line = self._line(self.recipes[label])
        return made_by(line, seed, data_sha256, self.path(label, seed))

    def _line(self, recipe):
        """A recipe, and those of the models that it starts from."""
        found = [recipe]
        while found[-1].base:
            found.append(self.recipes[self._base(found[-1])])
        return found

    def _order(self, job):
        """Models that others are made from first; then as declared."""
        depth = len(self._line(self.recipes[job[0]]))
        return depth, list(self.recipes).index(job[0]), job[1]

    def _base(self, recipe):
        return f"{recipe.data} {recipe.base}"

    def _work(self, crew):
        """Train one model after the other, in a process that ends with the last or is lost."""
        with ExitStack() as stack:
            ask = None
            while True:
                with self.lock:
                    if not self.waiting:
                        return
                    label, seed = job = self.waiting.popleft()
                    self._tell(label, seed)
                try:
                    ask = ask or stack.enter_context(crew.alone(None, 1, None))
                    self._learn(ask, label, seed)
                except Lost as lost:
                    self.failed.setdefault(label, lost.detail)
                    ask = None
                finally:
                    self.ended[job].set()

    def _learn(self, ask, label, seed):
        recipe, base = self.recipes[label], None
        if recipe.base:
            base = self._base(recipe), seed
            if base in self.ended:
                self.ended[base].wait()
            if base[0] in self.failed:
                raise Lost("crashed", f"{base[0]} could not be trained: {self.failed[base[0]]}")
        paths = (str(self.path(*base)) if base else None, str(self.path(label, seed)))
        reply = ask("learn", self.jobs[label, seed], self.preset, label, seed, *paths)
        if "status" in reply:
            self.failed.setdefault(label, reply["detail"])
            return
        reply |= {"made_by": self._made_by(label, seed, reply["sha256"])}
        line = io.StringIO()
        csv.DictWriter(line, LEARNED_COLUMNS, lineterminator="\n").writerow(reply)
        with self.lock:
            header = ",".join(LEARNED_COLUMNS) + "\n"
            extend(self.folder / NAME, line.getvalue(), header=header)

    def _tell(self, label, seed):
        at = self.total - len(self.waiting)
        passed = time.monotonic() - self.start
        left = f", {passed / (at - 1) * (self.total - at + 1):.0f} s left" if at > 2 else ""
        self.report(f"training {label}: seed {seed}, {at} of {self.total} models{left}")

    def _rows(self):
        return learned(self.folder).to_dict("records")

    def _list(self):
        """Write the models of `TIMED_SEED`, and what is missing with its reason."""
        rows = {job_of(row): row for row in self._rows()}
        entries = []
        for label, recipe in self.recipes.items():
            row = rows.get((label, TIMED_SEED), {})
            entries.append(
                {
                    "name": label,
                    "family": recipe.family,
                    "file": str(self.path(label, TIMED_SEED).relative_to(self.folder)),
                    "parameters": int(row.get("parameters", 0)),
                    "flops": int(row.get("flops", 0)),
                    "bytes": int(row.get("file_bytes", 0)),
                    "made_by": row.get("made_by", ""),
                }
                | ({} if row else {"missing": self.failed.get(label, "it was not trained")})
            )
        path = self.folder / "models.json"
        replace(path, json.dumps(entries, indent=1) + "\n")
        return path


def slug(label):
    """Name of a file: letters, digits and dashes."""
    return re.sub(r"[^0-9A-Za-z.]+", "-", label).strip("-")


def learn(module, preset, label, seed, base, path):
    """Train one model, in a worker.

    Parameters
    ----------
    module : str
        Holds the study as ``SUITE``.
    preset, label : str
    seed : int
    base : path or None
        Model that this one is made from.
    path : path
        Takes the model.

    Returns
    -------
    dict
        A row of ``learned.csv``, but for what made it.
    """
    from convgrad.kernels.models import load
    from convgrad.suites.studies.recipe import learn as follow

    recipe = importlib.import_module(module).SUITE.recipe(preset, label)
    model, row = follow(recipe, seed, _dataset(recipe.data), load(base) if base else None)
    return row | {"file_bytes": model.save(path)}


@cache
def _dataset(name):
    return datasets.load(name)


@cache
def _data_sha256(name):
    """Of the files of a dataset, which is not kept; None where they are missing."""
    try:
        return datasets.load(name).sha256
    except Missing:
        return None
