from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from convgrad.suites.certify import harness, memory
from convgrad.suites.certify.claims import Budget


def outcome_of(replies, monkeypatch, tmp_path):
    """What is found where a kernel that takes so many MiB is measured to take ``replies`` bytes."""

    def once(kernel, *_):
        return {"peak_bytes": replies(int(kernel.name.rpartition("_")[2]) * memory.MIB)}

    monkeypatch.setattr(harness, "crew", lambda *_: nullcontext(SimpleNamespace(once=once)))
    return memory.known_amounts(Budget(quick=True, scratch=tmp_path))


@pytest.mark.parametrize(
    ("replies", "holds"),
    [
        (lambda size: size, True),
        (lambda size: size * 1.015, True),
        (lambda size: size + 0.9 * memory.MIB, True),
        (lambda size: size * 0.97, False),
        (lambda size: size + 1.5 * memory.MIB, False),
        (lambda size: 0, False),
    ],
)
def test_outcome_follows_errors(replies, holds, monkeypatch, tmp_path):
    assert outcome_of(replies, monkeypatch, tmp_path).holds is holds


def test_where_memory_cannot_be_measured_nothing_is_claimed(monkeypatch, tmp_path):
    monkeypatch.setattr(memory.memory, "why_not", lambda: "no /proc here")
    outcome = memory.known_amounts(Budget(quick=True, scratch=tmp_path))
    assert (outcome.found, outcome.holds) == ("no /proc here", None)
