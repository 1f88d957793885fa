import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def python():
    """Run a module of Python's, and return the finished process."""

    def run(module, *arguments, cwd=None, **variables):
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=os.environ | variables,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def convgrad(python):
    """Run the `convgrad` command."""
    return lambda *arguments, **options: python("convgrad.suites.cli", *arguments, **options)
