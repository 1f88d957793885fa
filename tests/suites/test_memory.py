from types import SimpleNamespace

import pytest

from convgrad.kernels import Case
from convgrad.kernels.registry import get
from convgrad.suites.certify import harness
from convgrad.suites.certify.memory import PLANTED, planted
from convgrad.suites.workers import memory
from convgrad.suites.workers.process import Lost

MIB = 1 << 20
CASE = Case.of("convolve", signal=(200,), taps=(5,))

pytestmark = pytest.mark.skipif(memory.why_not() is not None, reason=str(memory.why_not()))


@pytest.fixture(scope="module")
def budget(tmp_path_factory):
    return SimpleNamespace(scratch=tmp_path_factory.mktemp("memory"))


@pytest.fixture(scope="module")
def crew(budget):
    with harness.crew(budget, [PLANTED]) as started:
        yield started


def weigh(crew, name):
    return crew.once(planted(name), 2, None, "weigh", CASE, 0)["peak_bytes"]


@pytest.mark.parametrize("mebibytes", [1, 16, 64, 256])
@pytest.mark.parametrize(
    "way",
    ["temporary_numpy", "temporary_numba", "temporary_threads", "temporary_each", "result"],
)
def test_known_memory_is_measured_within_two_percent_or_half_a_mebibyte(crew, way, mebibytes):
    error = abs(weigh(crew, f"{way}_{mebibytes}") - mebibytes * MIB)
    # a small amount has to be told from none: 1 MiB of error would be 100 %
    assert error <= max(0.02 * mebibytes * MIB, MIB // 2)


def test_memory_that_was_free_before_counts_when_it_is_used(crew):
    # pieces share the pages at their ends with pieces that are in use
    assert 0.9 * 64 * MIB < weigh(crew, "temporary_pieces_64") < 1.02 * 64 * MIB


@pytest.mark.parametrize("name", ["allocates_nothing", "keeps_a_plan", "touches_one_page"])
def test_what_is_kept_or_never_touched_does_not_count(crew, name):
    assert 0 <= weigh(crew, name) < MIB // 2


@pytest.mark.parametrize(
    ("name", "status", "detail"),
    [
        ("reads_a_null_pointer", "crashed", "SIGSEGV"),
        ("leaves", "crashed", "exit status 3: last words"),
        ("raises", "crashed", "ZeroDivisionError: on purpose"),
        ("wants_too_much", "out of memory", "MemoryError"),
        ("is_killed", "out of memory", "killed"),
        ("no_such_kernel", "crashed", "KeyError"),
    ],
)
def test_a_bad_end_is_told_and_costs_nothing_else(crew, name, status, detail):
    with pytest.raises(Lost) as lost:
        weigh(crew, name)
    assert lost.value.status == status
    assert detail in lost.value.detail
    assert weigh(crew, "allocates_nothing") < MIB // 2


def test_a_hang_is_ended(crew, monkeypatch):
    weigh(crew, "allocates_nothing")  # the zygote is ready
    monkeypatch.setattr(crew, "hang_s", 0.5)
    with pytest.raises(Lost) as lost:
        weigh(crew, "never_ends")
    assert lost.value.status == "timed out"


def test_the_terminal_stays_quiet(crew, capfd):
    weigh(crew, "talks")
    assert capfd.readouterr() == ("", "")


def test_a_lost_zygote_is_replaced_with_the_next_block(crew):
    with pytest.raises(Lost):
        weigh(crew, "kills_the_zygote")
    crew.summon({}, 2, None)
    assert weigh(crew, "allocates_nothing") < MIB // 2


def test_a_module_that_is_missing_is_named(budget):
    with (
        harness.crew(budget, ["no_such_module"]) as crew,
        pytest.raises(Lost, match="no_such_module"),
    ):
        weigh(crew, "allocates_nothing")


def test_without_a_mark_to_reset_nothing_is_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert memory.peak_bytes(lambda: pytest.fail("called")) is None


def test_weights_that_a_prepared_call_keeps_count(crew):
    case = Case.of("dense_pruned", batch=1, features=4096, outputs=2048, sparsity=0.9)
    kept = 0.1 * 4096 * 2048 * (4 + 4)  # a value and a place each
    found = crew.once(get("dense_pruned", "scipy_csr"), 2, None, "weigh", case, 0, "prepared")
    assert abs(found["peak_bytes"] - kept) < 0.1 * kept
