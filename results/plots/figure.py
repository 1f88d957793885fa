"""A figure: a grid of equal panels under a title and above a caption, and how it is saved."""

import io
import re
import textwrap
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from convgrad.results.plots.style import INK, MUTED, SMALL, TEXT, TITLE

LEFT, BOTTOM, TOP = 0.68, 0.5, 0.72
"""Inches around the axes of a panel; to the right it is as much as the labels need."""

LINE, LINES = 0.14, 2
"""Inches from one line to the next of what is fixed in a panel, and how many `TOP` has room for."""

BARE = 0.28
"""Inches above axes that have no title of their own."""

PLOT_WIDTH = 2.2

_DPI = 144
"""Of what is written, and so of what is measured: letters are not as wide at every size."""


@dataclass
class Picture:
    """A figure as it was written, with what a page needs to lay out its panels itself."""

    name: str
    title: str
    reading: str
    """How to read it, in a sentence."""
    caption: str
    svg: str = field(default="", repr=False)
    size: tuple = ()
    """Width and height, in points."""
    boxes: list = field(default_factory=list)
    """Where the panels are: left, top, width, height, in points from the top left."""


class Grid:
    """Panels in rows; axes are placed by inches, so that labels beside them always fit.

    Parameters
    ----------
    panels : int
    right : float
        Inches for labels to the right of each panel.
    plot_height : float
    fixed : sequence of str
        What is fixed in each panel, for which there is room above them.
    """

    def __init__(
        self, panels, right, plot_height, left=LEFT, plot_width=PLOT_WIDTH, top=TOP, fixed=()
    ):
        self.columns = {1: 1, 2: 2, 4: 2}.get(panels, 3)
        rows = -(-panels // self.columns)
        if panels == 1:
            plot_width = max(plot_width, 6.4 - left - right)
        self.left, self.plot_width, self.plot_height = left, plot_width, plot_height
        self.cell_width = left + plot_width + right
        most = max((len(self._lines(text)) for text in fixed), default=0)
        self.top = top + LINE * max(most - LINES, 0)
        self.cell_height = self.top + plot_height + BOTTOM
        self.width = self.columns * self.cell_width
        self.header, self.footer = 0.72, 0.62
        self.height = self.header + rows * self.cell_height + self.footer
        self.figure = Figure(figsize=(self.width, self.height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.boxes = []

    def add(self, varies="", fixed=""):
        """Axes of the next panel, under what varies in it and what is fixed."""
        row, column = divmod(len(self.boxes), self.columns)
        x = column * self.cell_width
        y = self.header + row * self.cell_height
        self.boxes.append(tuple(72 * v for v in (x, y, self.cell_width, self.cell_height)))
        self._text(x + 0.1, y + 0.14, _cut(varies, self.cell_width), weight="bold", size=TEXT)
        for number, line in enumerate(self._lines(fixed)):
            self._text(x + 0.1, y + 0.31 + LINE * number, line, size=SMALL, color=MUTED)
        return self.figure.add_axes(
            (
                (x + self.left) / self.width,
                1 - (y + self.top + self.plot_height) / self.height,
                self.plot_width / self.width,
                self.plot_height / self.height,
            )
        )

    def _lines(self, fixed):
        """What is fixed, in lines; each size of a key begins one."""
        room = int(self.cell_width * 72 / (0.57 * SMALL))
        whole = re.sub(r"(?<![,:;]) ", "\u00a0", fixed)  # a size stays with its name
        wrapped = (
            textwrap.wrap(one, room, max_lines=LINES, placeholder=" …") for one in whole.split("; ")
        )
        return [line.replace("\u00a0", " ") for lines in wrapped for line in lines]

    def finish(self, picture, drawn, folder):
        """Write title and caption, then SVG, PNG and the CSV of what was drawn."""
        title = self._text(0.1, 0.23, picture.title, size=TITLE, weight="bold")
        reading = self._text(0.1, 0.5, picture.reading, size=TEXT, color=MUTED)
        room = self.figure.bbox.width * (1 - 0.2 / self.width)
        for text in (title, reading):
            size = text.get_fontsize() * min(room / max(text.get_window_extent().width, 1), 1)
            text.set_fontsize(size)
        lines = textwrap.wrap(picture.caption, int(self.width * 72 / (0.56 * SMALL)))
        for number, line in enumerate(lines[:4]):
            y = self.height - self.footer + 0.08 + 0.15 * number
            self._text(0.1, y, line, size=SMALL, color=MUTED)
        picture.svg = _save(self.figure, folder / picture.name)
        picture.size = 72 * self.width, 72 * self.height
        picture.boxes = self.boxes
        pd.DataFrame(drawn).to_csv(
            folder / f"{picture.name}.csv", index=False, lineterminator="\n", float_format="%.6g"
        )
        return picture

    def _text(self, x, y, text, **style):
        return self.figure.text(
            x / self.width,
            1 - y / self.height,
            text.replace("$", r"\$"),
            **{"va": "center", "color": INK, **style},
        )


def _cut(text, inches):
    return textwrap.shorten(text, int(inches * 72 / (0.64 * TEXT)), placeholder=" …")


def _save(figure, path):
    figure.savefig(path.with_name(path.name + ".png"), metadata={"Software": None})
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = _shorter(buffer.getvalue())
    path.with_name(path.name + ".svg").write_text(svg, encoding="utf-8", newline="\n")
    return svg


def _shorter(svg):
    """Leave out what nobody sees: thousandths of a point, fonts nobody has, names of groups."""
    svg = re.sub(r' id="[A-Za-z0-9]+_\d+"| transform="rotate\(-0 [^"]*\)"', "", svg)
    svg = re.sub(
        r"font-family: [^;]*sans-serif", "font-family: 'DejaVu Sans', Verdana, sans-serif", svg
    )
    svg = re.sub(r"(?m)^ +", "", svg)
    return re.sub(
        r'\b(d|x|y|transform)="[^"]*"',
        lambda attribute: re.sub(r"(\.\d\d)\d+", r"\1", attribute[0]),
        svg,
    )
