"""The bridge from measured blocks to pytest-benchmark.

Blocks are measured by the engine in worker processes. A test is one cell: it replays the samples
of its kernel through `benchmark.pedantic`, with a timer that steps from sample to sample, so that
pytest-benchmark's table, JSON, comparison and histogram show what was measured.
"""

from pathlib import Path

import pytest

from convgrad.suites import options
from convgrad.suites.session import Session

_PLUGIN = "convgrad-session"


def pytest_addoption(parser):
    """Add what selects blocks and kernels, and where the run goes."""
    options.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Refuse what cannot be measured honestly, and set the session up."""
    options.check(config)
    config.addinivalue_line("markers", "cell(block, kernel): the cell that a test replays")
    session = Session(config)
    config.pluginmanager.register(session, _PLUGIN)
    if session.folder and not config.option.benchmark_json:
        config.option.benchmark_json = str(session.folder / "benchmark.json")


def pytest_generate_tests(metafunc):
    """Make a test of every cell of the suite that a module declares."""
    suite = getattr(metafunc.module, "SUITE", None)
    if suite is None or "measured" not in metafunc.fixturenames:
        return
    cells = []
    for block in metafunc.config.pluginmanager.get_plugin(_PLUGIN).blocks_of(
        suite, Path(metafunc.module.__file__)
    ):
        words = [block.case.label, f"threads={block.threads}"]
        words += [block.cache] * (block.cache != "warm")
        words += [block.call] * (block.call != "plain")
        group = f"{block.case.operation} {words[0]} {block.threads} threads {' '.join(words[2:])}"
        for name in block.kernels:
            marks = [
                pytest.mark.cell(block, name),
                pytest.mark.benchmark(timer=_REPLAY, group=group.rstrip()),
            ]
            label = "-".join([*words, name]).replace("=", ":")  # -k knows no "="
            values = block.case.label, block.threads, block.cache, block.call, name
            cells.append(pytest.param(*values, marks=marks, id=label))
    metafunc.parametrize(("case", "threads", "cache", "call", "kernel"), cells)


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

    def __init__(self, session, item):
        self.session, self.item = session, item

    def replay(self, benchmark):
        """Skip or fail with the cell's sentence, or replay its samples."""
        fact, seconds = self.session.measured(self.item)
        status, detail = fact["status"], fact.get("detail", "")
        self.item.user_properties.append(("status", status))
        if status in ("unavailable", "unsupported", "skipped (budget)"):
            pytest.skip(f"{status}: {detail}")
        if status != "ok":
            pytest.fail(f"{status}: {detail}", pytrace=False)
        if self.session.checking:
            benchmark.pedantic(lambda: None)
            return
        benchmark.extra_info.update(
            {name: fact[name] for name in ("family", "device", "error_ratio") if name in fact}
        )
        _REPLAY.load(seconds)
        benchmark.pedantic(lambda: None, rounds=len(seconds))


@pytest.fixture
def measured(request, case, threads, cache, call, kernel):
    """The cell that a test is about."""
    return Measured(request.config.pluginmanager.get_plugin(_PLUGIN), request.node)
