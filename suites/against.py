"""Another version of the kernels, laid out where worker processes of their own find it."""

import shutil
import zipfile
from pathlib import Path


def unpack(source, folder):
    """Put the package `convgrad.kernels` of a checkout or a wheel into a folder, and nothing else.

    The engine that measures is always the installed one.

    Parameters
    ----------
    source : path
        A wheel, a checkout, or a folder in which convgrad is installed.
    folder : path

    Raises
    ------
    ValueError
        If there are no kernels of convgrad in ``source``.
    """
    source, target = Path(source), Path(folder) / "convgrad" / "kernels"
    if source.suffix == ".whl" and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            names = [name for name in wheel.namelist() if name.startswith("convgrad/kernels/")]
            wheel.extractall(folder, names)
    else:
        for kernels in (source / "kernels", source / "convgrad" / "kernels"):
            if (kernels / "registry.py").exists():
                shutil.copytree(kernels, target, ignore=shutil.ignore_patterns("__pycache__"))
                break
    if not (target / "registry.py").exists():
        raise ValueError(f"--against: got {source}, expected a wheel or checkout of convgrad")
