"""One pytest session: its blocks, its engine, and the run folder that it fills."""

import collections
import dataclasses
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from convgrad.kernels import registry
from convgrad.kernels.models import served
from convgrad.results.report import write_report
from convgrad.results.schema import AGAINST, SAMPLE_COLUMNS
from convgrad.results.store import CannotWrite, Run
from convgrad.suites import against
from convgrad.suites.linear.suite import LinearSuite
from convgrad.suites.machine import environment, facts
from convgrad.suites.machine.roofs import highest
from convgrad.suites.measure.engine import Engine
from convgrad.suites.measure.identity import Identities
from convgrad.suites.measure.settings import PRESETS
from convgrad.suites.options import SELECTIONS
from convgrad.suites.recording import key_of, new_folder, recall, reopen, seconds_by_cell
from convgrad.suites.studies.study import Study
from convgrad.suites.studies.training import Training
from convgrad.suites.suite import ON_REQUEST, suite_name
from convgrad.suites.workers.crew import Crew
from convgrad.suites.workers.process import Lost

MACHINE = SimpleNamespace(
    usable_cores=environment.usable_cores,
    available_bytes=environment.available_bytes,
    steal_ticks=facts.steal_ticks,
    last_level_cache_bytes=facts.last_level_cache_bytes,
)


_TRAINING_S = 600
"""A model that takes longer to train is given up."""


class Session:
    """A pytest plugin: the session's engine and run folder, and the blocks of its tests.

    Parameters
    ----------
    config : pytest.Config
    """

    def __init__(self, config):
        self.config = config
        option = config.getoption
        self.checking = option("benchmark_disable") and not option("benchmark_enable")
        self.settings = PRESETS[option("preset")]
        if minutes := option("minutes"):
            self.settings = dataclasses.replace(self.settings, budget_s=60 * minutes)
        self.blocks, self.cells, self.suite_of, self.deadlines = {}, {}, {}, {}
        self.engine = self.run = self.folder = self.crew = self.scratch = None
        self.taken_out, self.given_up, self.aims = {}, False, []
        self.studies, self.models, self.analyses = {}, None, []
        if not (self.checking or option("collectonly") or option("benchmark_skip")):
            self.folder = Path(option("resume") or option("out") or new_folder())

    def blocks_of(self, suite, path):
        """Blocks of the suite that a file declares, as the options select them."""
        option = self.config.getoption
        if suite_name(path) in ON_REQUEST and path.name not in self._named_files():
            return []
        if facts_of := getattr(suite, "facts", None):
            self.aims += facts_of(option("preset"), option("seed"))
        if isinstance(suite, LinearSuite):
            self.analyses.append(suite)
        if isinstance(suite, Study):
            self.studies[suite.name] = f"convgrad.suites.{path.stem}", suite
        blocks = suite.blocks(
            option("preset"),
            seed=option("seed"),
            cores=environment.usable_cores(),
            dtypes=option("dtype"),
            threads=[int(n) for n in option("threads")],
            caches=option("cache"),
            calls=option("call"),
            small_bytes=facts.last_level_cache_bytes(),
            kernel_filter=self._wants,
        )
        if option("operation"):
            blocks = [b for b in blocks if b.case.operation in option("operation")]
        if option("against"):
            blocks = [
                dataclasses.replace(b, kernels=(*b.kernels, *(n + AGAINST for n in b.kernels)))
                for b in blocks
            ]
        return blocks

    def _named_files(self):
        return {Path(argument.split("::")[0]).name for argument in self.config.args}

    def _wants(self, kernel):
        return all(
            not chosen or getattr(kernel, name) in chosen
            for name, chosen in (
                ("name", self.config.getoption("kernel")),
                ("family", self.config.getoption("family")),
                ("device", self.config.getoption("device")),
            )
        )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        """Sort cells into blocks, by turns, small cases first, workers' cases side by side."""
        cells = [item for item in items if "cell" in item.keywords]
        suites = list(dict.fromkeys(item.path for item in cells))
        cells.sort(key=lambda item: (suites.index(item.path), _block(item).order))
        items[:] = [item for item in items if "cell" not in item.keywords] + cells

    def pytest_collection_finish(self, session):
        """Know which kernels compete in each block, and open the run folder."""
        if session.testsfailed:  # a suite that cannot be read: pytest ends here
            return
        competitors = collections.defaultdict(list)
        for item in session.items:
            if "cell" in item.keywords:
                competitors[_block(item)].append(_kernel(item))
                self.suite_of[_block(item)] = item.path
        self.blocks = {
            block: dataclasses.replace(block, kernels=tuple(names))
            for block, names in competitors.items()
        }
        if not self.blocks:
            return
        try:
            self._set_up()
        except (OSError, ValueError, Lost) as error:
            self._tear_down()
            raise pytest.UsageError(str(error)) from None

    def _set_up(self):
        option = self.config.getoption
        self.scratch = Path(tempfile.mkdtemp(prefix="convgrad-"))
        other = self.scratch / "against" if option("against") else None
        if other:
            against.unpack(option("against"), other)
        identities = Identities(other)
        self._open_run()
        self._train()
        first_process = self._recall(identities)
        self.crew = Crew(self._environment, option("import"), other, self.settings.hang_s)
        self.engine = Engine(
            self.settings,
            self.run,
            self.crew,
            MACHINE,
            self.scratch,
            identify=identities.of,
            first_process=first_process,
            progress=self.report,
        )
        if self.run and not self.run.info.get("roofs"):
            self._describe()
        if self.run:
            self.engine.compile([block for block in self.blocks if self._missing(block)])
            for suite in self.analyses:  # with code that has been compiled, and its time booked
                suite.analyse(option("preset"), self.run.path, self.crew, self._wants, self.report)

    def _fair_environment(self, threads):
        """Environment of a process: thread counts set, nothing that holds a peer back."""
        fair, self.taken_out = environment.fair_environment(
            os.environ, threads, keep=self.config.getoption("keep_environment")
        )
        return fair

    def _environment(self, threads):
        """The same for a process that measures.

        Compiled code goes to a cache with which the run begins empty, as compiling is measured
        too; but not of models, which are made of kernels that others measure.
        """
        cache = {"NUMBA_CACHE_DIR": str(self.scratch / "numba")}
        own = {served.VARIABLE: str(self.models)} if self.models else cache
        return self._fair_environment(threads) | own

    def _open_run(self):
        """Open the run folder, if there is to be one."""
        if self.folder is None:
            return
        option = self.config.getoption
        if option("resume"):
            self.run = reopen(self.folder)
            return
        start = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.run = Run.create(
            self.folder,
            preset=option("preset"),
            options=self._options(),
            start=start,
            **({"aims": self.aims} if self.aims else {}),
        )

    def _train(self):
        """Have the models of studies trained: from now on they are kernels like others."""
        labels = collections.defaultdict(set)
        for block in self.blocks:
            if block.case.operation == Study.operation:
                labels[dict(block.case.sizes)["study"]] |= set(block.kernels)
        if not labels:
            return
        folder = self.folder or self.scratch
        training = Training(folder, self.config.getoption("preset"), self.report, self.say)
        for study, names in labels.items():
            training.add(*self.studies[study], names)
        crew, start = Crew(self._fair_environment, hang_s=_TRAINING_S), time.monotonic()
        try:
            self.models = training.run(crew, environment.usable_cores())
        finally:
            crew.close()
        served.serve(self.models)
        spent = time.monotonic() - start
        left = max(self.settings.budget_s - spent, self.settings.budget_s / 2)
        self.settings = dataclasses.replace(self.settings, budget_s=left)

    def _recall(self, identities):
        """Take over what a resumed run knows; returns the number of the first process from now."""
        if not self.config.getoption("resume"):
            return 0
        self.cells, first_process = recall(self.run, self.blocks.values(), identities)
        self.run.update(state="running")
        return first_process

    def _options(self):
        """What was asked for, in the words of the `convgrad run` that does the same."""
        suites = list(dict.fromkeys(map(suite_name, self.suite_of.values())))
        names = ("preset", "seed", "keep_environment", "against", *SELECTIONS)
        return {"suites": suites} | {name: self.config.getoption(name) for name in names}

    def _describe(self):
        roofs = self._measure_roofs()
        self.run.update(
            machine=facts.describe() | self._restrictions(),
            libraries=facts.libraries(),
            environment_taken_out=self.taken_out,
            call_overhead_s=self.crew.once(None, 1, None, "overhead"),
            roofs=roofs,
        )

    def _restrictions(self):
        """What holds libraries back in this run, as a fact about the machine."""
        kept = self.config.getoption("keep_environment")
        restricted = environment.restrictions(os.environ) if kept else []
        return {"restricted": restricted} if restricted else {}

    def _measure_roofs(self):
        """Roofs of this run's dtypes and threads, no lower than what was measured before."""
        dtypes = sorted({block.case.dtype for block in self.blocks})
        threads = sorted({block.threads for block in self.blocks}, reverse=True)
        found = self.engine.roofs(threads, dtypes)
        if self._uses_device():
            found += self.engine.device_roofs(dtypes)
        before = {_roof_key(roof): roof for roof in self.run.info.get("roofs", [])}
        return [highest(roof, before.pop(_roof_key(roof), roof)) for roof in found] + list(
            before.values()
        )

    def _uses_device(self):
        """Whether a kernel of this run can run on a CUDA device."""
        names = {(block.case.operation, name) for block in self.blocks for name in block.kernels}
        known = (registry.get(operation, name.removesuffix(AGAINST)) for operation, name in names)
        return any(kernel.device == "cuda" and kernel.why_not() is None for kernel in known)

    def report(self, text):
        """Pass a line of text on to whoever shows progress."""
        if display := self.config.pluginmanager.get_plugin("convgrad-display"):
            total = sum(len(block.kernels) for block in self.blocks.values())
            left = self.engine.deadline - time.monotonic() if self.engine else None
            display.show(text, len(self.cells), total, left)

    def say(self, text):
        """Pass a line of text that is to stay on to whoever shows progress."""
        if display := self.config.pluginmanager.get_plugin("convgrad-display"):
            display.say(text)
        else:
            print(f"convgrad: {text}", file=sys.stderr)

    def measured(self, item):
        """Facts and samples of a test's cell, measuring its block if nobody has.

        Returns
        -------
        fact : dict
        seconds : list of float
            One a sample, of one call.
        """
        block = self.blocks[_block(item)]
        missing = self._missing(block)
        if _kernel(item) in missing:
            # what is missing is measured together with what it is compared to
            names = tuple(n for n in block.kernels if n in missing or n == block.baseline)
            self._measure(dataclasses.replace(block, kernels=names), item.path)
        return self.cells[key_of(block, _kernel(item))]

    def _missing(self, block):
        return {name for name in block.kernels if key_of(block, name) not in self.cells}

    def _measure(self, block, suite):
        try:
            if self.checking:
                found, samples = self.engine.check(block), []
            else:
                found, samples = self.engine.measure(block, *self._time_for(suite, block))
        except CannotWrite as error:  # no cell to come could be kept either
            self.given_up = True
            pytest.exit(str(error), pytest.ExitCode.INTERNAL_ERROR)
        seconds = seconds_by_cell(pd.DataFrame(samples, columns=SAMPLE_COLUMNS))
        for kernel, fact in found.items():
            key = key_of(block, kernel)
            before = self.cells[key][1] if key in self.cells else []
            self.cells[key] = fact, before + seconds.get(key, [])

    def _time_for(self, suite, block):
        """Deadline of a suite, and the part of the time until then that a block of it may take.

        Time is given by the number of cells, and each suite gets what earlier ones left over:
        where time is short, the last turns and the largest cases of every suite are left out, not
        the last suites.
        """
        waiting = collections.Counter()
        for declared, own in self.blocks.items():
            waiting[self.suite_of[declared]] += len(self._missing(own))
        if suite not in self.deadlines:
            now = time.monotonic()
            part = waiting[suite] / waiting.total()
            self.deadlines[suite] = now + (self.engine.deadline - now) * part
        return self.deadlines[suite], len(self._missing(block)) / waiting[suite]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        """Write tables, plots and report of whatever was measured; leave nothing behind."""
        whole = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        try:
            with self._giving_up(session):
                if self.engine and self.run and not self.given_up:
                    self._finish(whole)
                elif self.run and not self.given_up:
                    self._stop_early()
            with self._giving_up(session):  # pytest-benchmark writes its JSON
                yield
        finally:
            self._tear_down()

    @contextmanager
    def _giving_up(self, session):
        """End in one line, said once, if the disk is full, the folder gone or the like."""
        try:
            yield
        except OSError as error:
            if not self.given_up:
                self.report_error(str(error))
            self.given_up = True
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def report_error(self, text):
        """Pass an error of the run itself on to whoever shows errors."""
        if display := self.config.pluginmanager.get_plugin("convgrad-display"):
            display.errors.append(text)
        else:
            print(f"convgrad: {text}", file=sys.stderr)

    def _finish(self, whole):
        if whole:
            # Once more: a roof is a maximum, and the machine may have had a bad minute before.
            with suppress(Lost):
                self.run.update(roofs=self._measure_roofs())
        total = self.settings.budget_s + time.monotonic() - self.engine.deadline
        self.run.update(
            state="finished" if whole else "interrupted",
            end=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            pools=self.engine.checks.pools,
            time_spent={**self.engine.spent, "total": total},
        )
        self.crew.close()
        self.report("tables, plots and report")
        start = time.monotonic()
        write_report(self.run)
        self.run.update(report_s=time.monotonic() - start)
        if display := self.config.pluginmanager.get_plugin("convgrad-display"):
            display.finished(self.run)

    def _stop_early(self):
        """Leave what there is before anything was measured: models that were trained."""
        self.run.update(state="interrupted", end=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        if display := self.config.pluginmanager.get_plugin("convgrad-display"):
            display.finished(self.run)

    def _tear_down(self):
        if self.crew:
            self.crew.close()
        if self.run:
            self.run.close()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)


def _roof_key(roof):
    return roof.get("device"), roof["dtype"], roof.get("threads")


def _block(item):
    return item.get_closest_marker("cell").args[0]


def _kernel(item):
    return item.get_closest_marker("cell").args[1]
