import os
from pathlib import Path

import pytest

from convgrad import kernels
from convgrad.suites.measure import machine, memory

MIB = 1 << 20
HERE = str(Path(__file__).parent)

pytestmark = pytest.mark.skipif(memory.why_not() is not None, reason=str(memory.why_not()))


@pytest.fixture(scope="module")
def environment():
    return machine.fair_environment(os.environ, 2)[0]


@pytest.fixture(scope="module")
def case():
    return kernels.Case.of("convolve", **kernels.operation("convolve").named_cases["tiny"])


@pytest.fixture(scope="module")
def zygote(environment):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        with memory.Zygote(environment, ["planted_memory"]) as started:
            yield started


@pytest.mark.parametrize("mebibytes", [1, 16, 64, 256])
@pytest.mark.parametrize(
    "way", ["temporary_numpy", "temporary_numba", "temporary_threads", "result"]
)
def test_known_memory_is_measured_within_two_percent_or_one_mebibyte(zygote, case, way, mebibytes):
    outcome = zygote.measure(f"{way}_{mebibytes}", case)
    assert outcome.status == "ok", outcome
    error = abs(outcome.peak_bytes - mebibytes * MIB)
    # a small amount has to be told from none: 1 MiB of error would be 100 %
    assert error <= max(0.02 * mebibytes * MIB, MIB // 2)


def test_memory_that_was_free_before_counts_when_it_is_used(zygote, case):
    outcome = zygote.measure("temporary_pieces_64", case)
    assert outcome.status == "ok", outcome
    # pieces share the pages at their ends with pieces that are in use
    assert 0.9 * 64 * MIB < outcome.peak_bytes < 1.02 * 64 * MIB


@pytest.mark.parametrize("name", ["allocates_nothing", "keeps_a_plan", "touches_one_page"])
def test_what_is_kept_or_never_touched_does_not_count(zygote, case, name):
    outcome = zygote.measure(name, case)
    assert outcome.status == "ok", outcome
    assert 0 <= outcome.peak_bytes < MIB // 2


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("reads_a_null_pointer", "crashed", "SIGSEGV"),
        ("reads_a_null_pointer", "crashed", "planted_memory.py"),
        ("leaves", "crashed", "exit code 3\nlast words"),
        ("raises", "crashed", "ZeroDivisionError: on purpose"),
        ("wants_too_much", "out of memory", "MemoryError"),
        ("is_killed", "out of memory", "killed"),
        ("declines", "unsupported", "not today"),
        ("no_such_kernel", "crashed", "KeyError"),
    ],
)
def test_a_bad_end_is_told_and_costs_nothing_else(zygote, case, name, status, message):
    outcome = zygote.measure(name, case)
    assert outcome.status == status
    assert outcome.peak_bytes is None
    assert message in outcome.message
    assert zygote.measure("allocates_nothing", case).status == "ok"


def test_a_hang_is_ended(zygote, case):
    outcome = zygote.measure("never_ends", case, timeout=0.5)
    assert outcome == ("timed out", None, "no result within 0.5 s")
    assert zygote.measure("allocates_nothing", case).status == "ok"


def test_the_terminal_stays_quiet(zygote, case, capfd):
    assert zygote.measure("talks", case).status == "ok"
    assert capfd.readouterr() == ("", "")


def test_a_lost_zygote_costs_one_measurement(zygote, case):
    outcome = zygote.measure("kills_the_zygote", case)
    assert outcome.status == "crashed"
    assert "zygote" in outcome.message
    assert zygote.measure("allocates_nothing", case).status == "ok"


def test_a_module_that_is_missing_is_named(environment, case):
    zygote = memory.Zygote(environment, ["no_such_module"])
    with pytest.raises(RuntimeError, match="no_such_module"):
        zygote.measure("numpy", case)
    zygote.close()


def test_without_a_mark_to_reset_nothing_is_measured(monkeypatch, tmp_path, environment, case):
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert memory.peak_bytes(lambda: pytest.fail("called")) is None
    outcome = memory.Zygote(environment).measure("numpy", case)
    assert outcome.status == "unavailable"
    assert "clear_refs" in outcome.message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes differ"), False),
    ],
)
def test_libraries_that_lack_memory_are_understood(error, expected):
    assert memory._lacks_memory(error) is expected
