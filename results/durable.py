"""Files that survive a killed writer, a full disk and a power cut, and a lock for one writer."""

import os
from contextlib import contextmanager, suppress

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None


class CannotWrite(OSError, ValueError):
    """A run folder that cannot be written any more; the message is one line."""


@contextmanager
def writing(path):
    """Turn whatever the system says while ``path`` is written into `CannotWrite`."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"run folder: cannot write {path.name} in {path.parent} "
            f"({error.strerror or error}); what was measured before is kept"
        ) from error


def whole_lines(path):
    """Content up to the last line end: what follows was being written when the writer died.

    What follows may be part of a line, or the zeros that a file system leaves after a power cut.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bytes
        Nothing if there is no such file.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ValueError(
            f"run folder: cannot read {path.name} in {path.parent} ({error.strerror})"
        ) from None
    return content[: content.rfind(b"\n") + 1]


def cut_torn_line(path):
    """Shorten a file, if there is one, to its whole lines."""
    with writing(path):
        if path.exists() and path.stat().st_size:
            with open(path, "rb+") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.truncate(len(whole_lines(path)))


def extend(path, text, header=""):
    """Append whole lines to a file, all of them or none, and wait until they are on the disk.

    Parameters
    ----------
    path : Path
    text : str
    header : str
        Comes first in a new file.
    """
    cut_torn_line(path)
    with writing(path), open(path, "ab", buffering=0) as file:
        start = file.tell()
        left = memoryview((text if start else header + text).encode())
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(start)
            raise


def replace(path, text):
    """Give a file new content, as a whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    with writing(path):
        try:
            with open(temporary, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


def lock(path):
    """Become the only writer, until the descriptor is closed or the process ends in any way.

    Parameters
    ----------
    path : Path
        A file that is there for this alone; it tells others who writes.

    Returns
    -------
    int
        Descriptor of the file. Where the system cannot lock, nobody is kept out.

    Raises
    ------
    ValueError
        If another writer has the lock.
    """
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if fcntl:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            writer = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise ValueError(
                f"run folder: got {path.parent}, expected one that no other process is writing "
                f"({f'process {writer}' if writer else 'another'} is)"
            ) from None
        except OSError:  # a file system without locks
            pass
    with suppress(OSError):  # the number is a courtesy
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
