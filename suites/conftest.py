"""pytest options, and the bridge from measured blocks to pytest-benchmark.

Blocks are measured by the engine in worker processes. A test is one cell: it replays the samples
of its kernel through `benchmark.pedantic`, with a timer that steps from sample to sample, so that
pytest-benchmark's table, JSON, comparison and histogram show what was measured.
"""

import collections
import dataclasses
import importlib
import platform
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from convgrad import kernels
from convgrad.kernels import registry
from convgrad.kernels.validation import DTYPES
from convgrad.results.report import write_report
from convgrad.results.schema import KEY, SAMPLE_COLUMNS
from convgrad.results.store import Run
from convgrad.suites.machine import facts as machine
from convgrad.suites.measure.engine import OUT_OF_TIME, Engine
from convgrad.suites.measure.roofline import highest
from convgrad.suites.measure.settings import PRESETS

SELECTIONS = {
    "operation": "only this operation (may be repeated, as all of these)",
    "kernel": "only this kernel",
    "family": "only kernels of this family",
    "device": "only kernels for this device",
    "dtype": "these dtypes instead of the suites' own",
    "threads": "these numbers of threads instead of the suites' own",
    "import": "import this module, whose kernels join in",
}


def pytest_addoption(parser):
    """Add what selects blocks and kernels, and where the run goes."""
    group = parser.getgroup("convgrad", "what convgrad measures")
    group.addoption("--preset", choices=list(PRESETS), default="laptop", help="how far to sweep")
    for name, text in SELECTIONS.items():
        group.addoption(f"--{name}", action="append", default=[], metavar=name.upper(), help=text)
    group.addoption(
        "--out", metavar="DIR", help="run folder; results/runs/<time>-<host> unless given"
    )
    group.addoption("--resume", metavar="DIR", help="measure what is missing in this run folder")
    group.addoption(
        "--keep-environment",
        action="store_true",
        help="leave environment variables that hold a library back",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Refuse what cannot be measured honestly, and set the session up."""
    _refuse_what_spoils_timing(config)
    _import_modules(config.getoption("import"))
    _check_selection(config)
    config.addinivalue_line("markers", "cell(block, kernel): the cell that a test replays")
    bridge = Bridge(config)
    config.pluginmanager.register(bridge, "convgrad-bridge")
    if bridge.folder and not config.option.benchmark_json:
        config.option.benchmark_json = str(bridge.folder / "benchmark.json")


def _refuse_what_spoils_timing(config):
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("pytest-xdist: blocks are measured one at a time; leave out -n")
    monitored = [sys.monitoring.get_tool(i) for i in range(6)] if hasattr(sys, "monitoring") else []
    if sys.gettrace() or sys.getprofile() or any(monitored):
        raise pytest.UsageError(
            "a tracer, profiler or coverage tool is active and would be measured too: leave it out"
        )


def _import_modules(names):
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a user's module raises
            raise pytest.UsageError(
                f"--import: got {name}, expected a module ({type(error).__name__}: {error})"
            ) from None


def _check_selection(config):
    cores = machine.usable_cores()
    accepted = {
        "operation": kernels.operations(),
        "kernel": list(dict.fromkeys(k.name for k in kernels.find(usable=False))),
        "family": registry.FAMILIES,
        "device": registry.DEVICES,
        "dtype": [dtype.name for dtype in DTYPES],
        "threads": [str(count) for count in range(1, cores + 1)],
    }
    for name, known in accepted.items():
        for value in config.getoption(name):
            if value not in known:
                raise pytest.UsageError(
                    f"--{name}: got {value}, expected one of {', '.join(known)}"
                )


class Bridge:
    """The session's engine and run folder, and the blocks that its tests belong to."""

    def __init__(self, config):
        self.config = config
        option = config.getoption
        self.checking = option("benchmark_disable") and not option("benchmark_enable")
        self.settings = PRESETS[option("preset")]
        self.modules = option("import")
        self.blocks = {}
        self.cells = {}
        self.suite_of = {}
        self.deadlines = {}
        self.engine = self.run = self.folder = self.home = None
        if not (self.checking or option("collectonly") or option("benchmark_skip")):
            name = f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{platform.node()}"
            self.folder = Path(option("resume") or option("out") or Path("results/runs", name))

    def wants(self, kernel):
        """Whether the options select this kernel."""
        return all(
            not chosen or getattr(kernel, name) in chosen
            for name, chosen in (
                ("name", self.config.getoption("kernel")),
                ("family", self.config.getoption("family")),
                ("device", self.config.getoption("device")),
            )
        )

    def blocks_of(self, suite):
        """Blocks of one suite, as the options select them."""
        chosen = self.config.getoption("operation")
        if chosen and suite.operation not in chosen:
            return []
        return suite.blocks(
            self.config.getoption("preset"),
            cores=machine.usable_cores(),
            dtypes=self.config.getoption("dtype"),
            threads=[int(n) for n in self.config.getoption("threads")],
            kernel_filter=self.wants,
        )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        """Sort cells into blocks, small cases first, and workers' cases side by side."""
        cells = [item for item in items if "cell" in item.keywords]
        suites = list(dict.fromkeys(item.path for item in cells))
        cells.sort(key=lambda item: (suites.index(item.path), *_order(_block(item))))
        items[:] = [item for item in items if "cell" not in item.keywords] + cells

    def pytest_collection_finish(self, session):
        """Know which kernels compete in each block, and open the run folder."""
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
        self._open_run()
        self.engine = Engine(
            self.settings,
            self.run,
            keep_environment=self.config.getoption("keep_environment"),
            modules=self.modules,
            progress=self.report,
        )
        if self.run and not self.run.info.get("roofs"):
            self._describe()

    def _open_run(self):
        if self.folder is None:
            return
        try:
            if self.config.getoption("resume"):
                self.run = Run.open(self.folder)
                self.run.discard_unfinished()
                self._recall()
            else:
                self.run = Run.create(
                    self.folder,
                    preset=self.config.getoption("preset"),
                    options=self._options(),
                    start=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                )
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
        self.run.update(state="running")

    def _options(self):
        """What was asked for, in the words of the `convgrad run` that does the same."""
        suites = list(dict.fromkeys(p.stem.removeprefix("bench_") for p in self.suite_of.values()))
        names = ("preset", "keep_environment", *SELECTIONS)
        return {"suites": suites} | {name: self.config.getoption(name) for name in names}

    def _recall(self):
        """Take over the cells that the run folder already has."""
        seconds = _seconds_by_cell(self.run.samples())
        for fact in self.run.facts():
            if "status" in fact and fact.get("detail") != OUT_OF_TIME:
                key = tuple(fact[name] for name in KEY)
                self.cells[key] = fact, seconds.get(key, [])

    def _describe(self):
        roofs = self._measure_roofs()
        self.run.update(
            machine=machine.describe(),
            libraries=machine.libraries(),
            environment_taken_out=self.engine.taken_out,
            roofs=roofs,
        )

    def _measure_roofs(self):
        """Roofs of this run's dtypes and threads, no lower than what was measured before."""
        dtypes = sorted({block.case.dtype for block in self.blocks})
        threads = sorted({block.threads for block in self.blocks}, reverse=True)
        before = {(roof["dtype"], roof["threads"]): roof for roof in self.run.info.get("roofs", [])}
        return [
            highest(roof, before.pop((roof["dtype"], roof["threads"]), roof))
            for roof in self.engine.roofs(threads, dtypes)
        ] + list(before.values())

    def report(self, text):
        """Pass a line of text on to whoever shows progress."""
        if display := self.config.pluginmanager.get_plugin("convgrad-display"):
            total = sum(len(block.kernels) for block in self.blocks.values())
            display.show(text, len(self.cells), total, self.engine.deadline - time.monotonic())

    def measured(self, item):
        """Facts and samples of a test's cell, measuring its block if nobody has.

        Returns
        -------
        fact : dict
        seconds : list of float
            One a sample, of one call.
        """
        block = self.blocks[_block(item)]
        missing = tuple(name for name in block.kernels if _key(block, name) not in self.cells)
        if _kernel(item) in missing:
            block = dataclasses.replace(block, kernels=missing)
            if self.checking:
                facts, samples = self.engine.check(block), []
            else:
                self._dismiss_strangers(block)
                facts, samples = self.engine.measure(block, *self._time_for(item.path))
            seconds = _seconds_by_cell(pd.DataFrame(samples, columns=SAMPLE_COLUMNS))
            for kernel, fact in facts.items():
                key = _key(block, kernel)
                self.cells[key] = fact, seconds.get(key, [])
        return self.cells[_key(block, _kernel(item))]

    def _time_for(self, suite):
        """Deadline of a suite, and how many of its blocks have yet to be measured.

        Each suite gets time by the number of its blocks, and what earlier ones left over: where
        time is short, the largest cases of every suite are left out, not the last suites.
        """
        waiting = [
            self.suite_of[declared]
            for declared, block in self.blocks.items()
            if any(_key(block, name) not in self.cells for name in block.kernels)
        ]
        own = waiting.count(suite)
        if suite not in self.deadlines:
            now = time.monotonic()
            self.deadlines[suite] = now + (self.engine.deadline - now) * own / len(waiting)
        return self.deadlines[suite], own

    def _dismiss_strangers(self, block):
        """Workers serve one operation at one number of threads."""
        home = block.case.operation, block.threads
        if home != self.home:
            self.engine.dismiss()
        self.home = home

    def pytest_sessionfinish(self, exitstatus):
        """Write tables, plots and report of whatever was measured."""
        whole = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if self.run and whole:
            # Once more: a roof is a maximum, and the machine may have had a bad minute before.
            self.run.update(roofs=self._measure_roofs())
        if self.engine:
            self.engine.close()
        if self.run:
            self.report("tables, plots and report")
            self.run.update(
                state="finished" if whole else "interrupted",
                end=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                pools=self.engine.pools,
            )
            write_report(self.run)
            if display := self.config.pluginmanager.get_plugin("convgrad-display"):
                display.finished(self.run)


def _seconds_by_cell(samples):
    seconds = samples["wall_ns"] / samples["loops"] / 1e9
    return {key: list(group) for key, group in seconds.groupby([samples[name] for name in KEY])}


def _key(block, kernel):
    return tuple(block.key(kernel)[name] for name in KEY)


def pytest_generate_tests(metafunc):
    """Make a test of every cell of the suite that a module declares."""
    suite = getattr(metafunc.module, "SUITE", None)
    if suite is None or "measured" not in metafunc.fixturenames:
        return
    bridge = metafunc.config.pluginmanager.get_plugin("convgrad-bridge")
    cells = []
    for block in bridge.blocks_of(suite):
        for name in block.kernels:
            marks = [
                pytest.mark.cell(block, name),
                pytest.mark.benchmark(
                    timer=_REPLAY,
                    group=f"{suite.operation} {block.case.label} {block.threads} threads",
                ),
            ]
            label = block.case.label
            words = f"{label}-threads={block.threads}-{name}".replace("=", ":")  # -k knows no "="
            cells.append(pytest.param(label, block.threads, name, marks=marks, id=words))
    metafunc.parametrize(("case", "threads", "kernel"), cells)


def _block(item):
    return item.get_closest_marker("cell").args[0]


def _kernel(item):
    return item.get_closest_marker("cell").args[1]


def _order(block):
    return block.threads, block.case.flops, block.case.label


class _Replay:
    """A timer that steps through samples: start and end of a call differ by exactly one of them."""

    def __init__(self):
        self.load([])

    def load(self, samples):
        self.times = iter([t for sample in samples for t in (0.0, sample)])

    def __call__(self):
        return next(self.times)


_REPLAY = _Replay()


class Measured:
    """One cell, for a test to hand over to pytest-benchmark."""

    def __init__(self, bridge, item):
        self.bridge, self.item = bridge, item

    def replay(self, benchmark):
        """Skip or fail with the cell's sentence, or replay its samples."""
        fact, seconds = self.bridge.measured(self.item)
        status, detail = fact["status"], fact.get("detail", "")
        self.item.user_properties.append(("status", status))
        if status in ("unavailable", "unsupported", "skipped (budget)"):
            pytest.skip(f"{status}: {detail}")
        if status != "ok":
            pytest.fail(f"{status}: {detail}", pytrace=False)
        if self.bridge.checking:
            benchmark.pedantic(lambda: None)
            return
        benchmark.extra_info.update(
            {name: fact[name] for name in ("family", "device", "error_ratio") if name in fact}
        )
        _REPLAY.load(seconds)
        benchmark.pedantic(lambda: None, rounds=len(seconds))


@pytest.fixture
def measured(request, case, threads, kernel):
    """The cell that a test is about."""
    return Measured(request.config.pluginmanager.get_plugin("convgrad-bridge"), request.node)
