"""Starting, waking and losing worker processes, as the coordinator sees it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from multiprocessing.connection import Pipe
from multiprocessing.reduction import send_handle


class Lost(Exception):
    """A worker is gone; carries the status and the sentence for its cell."""

    def __init__(self, status, detail):
        super().__init__(detail)
        self.status, self.detail = status, detail

    @property
    def facts(self):
        return {"status": self.status, "detail": self.detail}


class Zygote:
    """A process that has imported what kernels need and computed nothing; workers fork from it.

    A fork takes milliseconds where the imports take seconds, and starts with no thread, no plan and
    no array of anybody's. Processes that replicate a measurement come from different zygotes:
    forks of one share its addresses.
    """

    def __init__(self, process, control, errors):
        self.process, self.control, self.errors = process, control, errors
        self.lock = threading.Lock()
        self.ready = False

    @classmethod
    def start(cls, environment, **setup):
        """Start the first of its kind.

        Parameters
        ----------
        environment : dict
            With the thread counts in it: libraries read them when they are imported.
        **setup
            modules, threads: what `zygote.main` reads.
        """
        control, theirs = Pipe()
        errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in close()
        setup |= {"descriptor": theirs.fileno(), "path": sys.path}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "convgrad.suites.workers.zygote", json.dumps(setup)],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for the coordinator
        )
        theirs.close()
        return cls(process, control, errors)

    def branch(self, modules):
        """Fork another zygote, which imports these modules as well."""
        pid, connection, errors = self._fork("breed", modules)
        return Zygote(_Fork(self, pid), connection, errors)

    def fork(self, operation, kernel, memory_bytes):
        """Fork a worker of a kernel (or of none), which may take so much memory."""
        pid, connection, errors = self._fork("work", operation, kernel, memory_bytes)
        return WorkerProcess(_Fork(self, pid), connection, errors)

    def wait_ready(self, seconds):
        """Wait until the imports are done.

        Raises
        ------
        Lost
            If they fail, with what was written last.
        """
        with self.lock:
            if not self.ready:
                if not self.control.poll(seconds):
                    raise Lost("timed out", f"imports took more than {seconds:.0f} s")
                self._receive()
                self.ready = True

    def is_gone(self):
        """Whether it has died since it was ready: unasked, it says nothing but its end."""
        with self.lock:
            return self.ready and self.control.poll(0)

    def reap(self, pid):
        """Wait for the end of a fork; returns its exit code, negative for a signal."""
        with self.lock:
            try:
                self.control.send(("reap", pid))
                return self._receive()
            except (Lost, OSError):  # the zygote is gone, and its forks with it
                return -signal.SIGKILL

    def close(self):
        """Kill the zygote; its forks end with it."""
        self.process.kill()
        self.process.wait()
        self.control.close()
        self.errors.close()

    def _fork(self, *request):
        ours, theirs = Pipe()
        errors = tempfile.TemporaryFile()  # noqa: SIM115, whoever gets it closes it
        with self.lock, theirs:
            try:
                self.control.send(request)
                send_handle(self.control, theirs.fileno(), None)
                send_handle(self.control, errors.fileno(), None)
            except OSError:
                self._lose()
            return self._receive(), ours, errors

    def _receive(self):
        try:
            return self.control.recv()
        except (EOFError, OSError):
            self._lose()

    def _lose(self):
        raise _lost(self.process.wait(), self.errors)


class _Fork:
    """A fork, with the methods of `subprocess.Popen` that are needed."""

    def __init__(self, zygote, pid):
        self.zygote, self.pid = zygote, pid

    def signal(self, number):
        with suppress(ProcessLookupError):  # then the connection says so
            os.killpg(self.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)

    def wait(self):
        return self.zygote.reap(self.pid)


class WorkerProcess:
    """One worker, stopped except while it answers.

    Pools of threads that spin after a call slow down whoever comes next, up to ten times, unless
    they are stopped: `ask` continues the process, waits for one answer, and stops it again.
    """

    def __init__(self, process, connection, errors):
        self.process, self.connection, self.errors = process, connection, errors

    def ask(self, seconds, method, *arguments):
        """Have one request answered.

        Raises
        ------
        Lost
            If the process died or did not answer within ``seconds``; it is gone then.
        """
        self.process.signal(signal.SIGCONT)
        try:
            self.connection.send((method, arguments))
            if not self.connection.poll(seconds):
                self.close()
                raise Lost("timed out", f"no answer within {seconds:.0f} s")
            reply = self.connection.recv()
        except (EOFError, OSError):
            self.process.kill()  # it may live on without its connection
            lost = _lost(self.process.wait(), self.errors)
            self._let_go()
            raise lost from None
        self.process.signal(signal.SIGSTOP)
        return reply

    def close(self):
        """Kill the process and all that it started, stopped or not."""
        self.process.kill()
        self.process.wait()
        self._let_go()

    def _let_go(self):
        self.connection.close()
        self.errors.close()


def _lost(code, errors):
    if code == -signal.SIGKILL:
        return Lost("out of memory", "killed, as the system does when memory runs out")
    if code < 0:
        named = -code in set(signal.Signals)
        name = signal.Signals(-code).name if named else f"signal {-code}"
        return Lost("crashed", f"ended by {name}")
    errors.seek(0, os.SEEK_SET)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line]
    return Lost("crashed", f"exit status {code}" + (f": {lines[-1]}" if lines else ""))
