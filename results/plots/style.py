"""How every figure looks: one colour and marker a family, type sizes, and numbers as text."""

import math

import matplotlib.style
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import EngFormatter

# Okabe and Ito's colours, which colour-blind readers can tell apart; their yellow is darkened, as
# it vanishes on white
FAMILIES = {
    "naive": ("#333333", "o"),
    "numba": ("#D55E00", "s"),
    "scipy": ("#0072B2", "^"),
    "fft": ("#E69F00", "D"),
    "gemm": ("#009E73", "v"),
    "winograd": ("#B5A800", "P"),
    "cuda": ("#CC79A7", "h"),
    "peer": ("#56B4E9", "X"),
    "auto": ("#7A3E9D", "*"),
    # of models
    "dense": ("#333333", "o"),
    "local": ("#E69F00", "D"),
    "convolution": ("#0072B2", "s"),
    "separable": ("#56B4E9", "^"),
    "low rank": ("#009E73", "v"),
    "joined": ("#B5A800", "P"),
    "pruned": ("#D55E00", "X"),
    "fewer filters": ("#CC79A7", "h"),
    "quantised": ("#7A3E9D", "*"),
    "distilled": ("#8C6D46", "p"),
}
OTHER = ("#8C6D46", "p")

INK = "#1d1d1f"
MUTED = "#66666b"
GRID = "#e6e6ea"
ROOF = "#9a9aa2"

TITLE, TEXT, SMALL = 14, 9, 8

_RC = {
    "svg.hashsalt": "convgrad",  # with fixed dates, the same numbers give the same bytes
    "svg.fonttype": "none",  # text that can be searched and read out, and small files
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": TEXT,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.solid_joinstyle": "round",
}


def applied():
    """Context in which figures are made and saved, whatever the user's matplotlibrc says."""
    return matplotlib.style.context([_RC], after_reset=True)


def color(family):
    """Colour of a family, brown for those that are not ours."""
    return FAMILIES.get(family, OTHER)[0]


def marker(family):
    """Marker of a family."""
    return FAMILIES.get(family, OTHER)[1]


def text_color(family):
    """The family's colour, darkened until text in it reads well on white."""
    rgb = to_rgb(color(family))
    luminance = sum(w * c**2.2 for w, c in zip((0.2126, 0.7152, 0.0722), rgb))
    share = min(1.0, math.sqrt(0.16 / luminance)) if luminance else 1.0
    return to_hex([channel * share for channel in rgb])


def seconds(value):
    """``1.23 ms``."""
    return _engineering(value, "s")


def bytes_text(value):
    """``1.23 MB``."""
    return _engineering(value, "B")


def count(value):
    """Whole numbers up to 9999 as they are, then ``36.9k``; shares as ``0.95``."""
    if value < 10_000 and value == int(value):
        return str(int(value))
    if value < 1:
        return number(value)
    return _engineering(value, "", sep="")


def factor(value):
    """``1.07×``, ``46×``, ``0.003×``."""
    digits = 3 if 1 <= value < 10 else 2
    return f"{float(f'{value:.{digits}g}'):,.10g}×"


def percent(value):
    """``3.1 %``; nothing for a number that is missing."""
    return f"{float(f'{100 * value:.2g}'):,.10g} %" if value == value else ""


def number(value):
    """Three significant digits, without a unit."""
    return f"{float(f'{value:.3g}'):,.10g}"


def _engineering(value, unit, sep=" "):
    """Three significant digits with an SI prefix; nothing for a number that is missing."""
    if value is None or not math.isfinite(value):
        return ""
    value = float(f"{value:.3g}")
    exponent = math.floor(math.log10(abs(value))) if value else 0
    places = max(0, 2 - exponent % 3)
    text = EngFormatter(unit, places=places, sep=sep)(value)
    number, tail = _split(text)
    return (number.rstrip("0").rstrip(".") if "." in number else number) + tail


def _split(text):
    end = next((i for i, c in enumerate(text) if c not in "0123456789.-−"), len(text))
    return text[:end], text[end:]
