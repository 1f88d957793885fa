import pytest

from convgrad.suites.machine import environment, facts


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A folder to plant /sys in; returns a function that writes files, and plants 4 cores."""
    monkeypatch.setattr(environment, "affinity", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(facts, "CPU", tmp_path / "cpu")
    monkeypatch.setattr(environment, "_CGROUP", tmp_path / "cgroup")
    groups = {"/proc/self/cgroup": ""}
    read = environment.read
    monkeypatch.setattr(environment, "read", lambda path: groups.get(str(path)) or read(path))

    def plant(own_groups="", **files):
        groups["/proc/self/cgroup"] = own_groups
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return plant
