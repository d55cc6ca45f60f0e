"""Style of the figures: colours, fonts, panel grids, and conversion from Matplotlib to SVG.

A figure is drawn in light colours. The page replaces each colour by the CSS variable of its name, so that the same
figure suits a dark page.
"""

import io
import re
import tomllib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from pygnc_cli.web_page import PALETTE

_HERE: Final = Path(__file__).parent

INK: Final = PALETTE["ink"].light
MUTED: Final = PALETTE["muted"].light
LAND: Final = PALETTE["land"].light
COAST: Final = PALETTE["coast"].light
SHADE: Final = PALETTE["shade"].light
LIMIT: Final = PALETTE["limit"].light
REJECTED: Final = PALETTE["rejected"].light
FILTER: Final = PALETTE["filter"].light
FILTER_BAND: Final = PALETTE["filter-band"].light
SMOOTHER: Final = PALETTE["smoother"].light
MIRROR: Final = PALETTE["mirror"].light
MIRROR_BAND: Final = PALETTE["mirror-band"].light
GOOD: Final = PALETTE["good"].light
LOOK: Final = PALETTE["look"].light
PAGE: Final = PALETTE["page"].light

OF_ESTIMATE: Final = MappingProxyType(
    {name: PALETTE[name].light for name in ("filter", "smoother", "batch", "prediction")}
)
BAND_OF_ESTIMATE: Final = MappingProxyType({name: PALETTE[f"{name}-band"].light for name in ("filter", "smoother")})

_COLOURS: Final = MappingProxyType(
    {
        "text.color": INK,
        "axes.facecolor": PALETTE["panel"].light,
        "axes.edgecolor": PALETTE["edge"].light,
        "axes.labelcolor": INK,
        "grid.color": PALETTE["grid"].light,
        "xtick.color": PALETTE["edge"].light,
        "ytick.color": PALETTE["edge"].light,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
    }
)

WIDTH_IN: Final = 9.6
_LEFT_IN, _RIGHT_IN, _TOP_IN, _BOTTOM_IN = 0.56, 0.17, 0.44, 0.4
_BETWEEN_COLUMNS_IN, _BETWEEN_ROWS_IN = 0.62, 0.13

_METADATA: Final = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_COMMON_STYLE: Final = re.compile(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)
_OPENING: Final = re.compile(r"<svg [^>]*viewBox=\"([^\"]*)\"[^>]*>")
_REFERENCE: Final = re.compile(r"(?:url\(|href=\")#([^)\"]+)")
_IDENTITY: Final = re.compile(r" id=\"([^\"]*)\"")
_GEOMETRY: Final = re.compile(r" (?:d|x|y|transform)=\"[^\"]*\"")
_NEEDLESS_DIGITS: Final = re.compile(r"(?<=\.\d\d)\d+")
_NEEDLESS_SPACE: Final = re.compile(r" ?\n?([MLQCz]) ?")
_HEX: Final = re.compile(r"#[0-9a-f]{6}\b")
_VARIABLES: Final = {colour.light: f"var(--{name})" for name, colour in PALETTE.items()}


Drawing: TypeAlias = Figure | str
"""Figure, or the reason why there is nothing to draw."""


class Chart(NamedTuple):
    """Figure of the report with its texts.

    Attributes:
        name: Unique identifier in the page; letters and hyphens.
        title: Heading.
        how_to_read: Explanation of the figure, or the reason why there is none.
        warning_signs: Features of the figure that point to a fault; empty without a figure.
        svg: Figure as an SVG element; empty if there is nothing to draw.
    """

    name: str
    title: str
    how_to_read: str
    warning_signs: str = ""
    svg: Markup = Markup()


_CAPTIONS: Final = _HERE / "captions.toml"


def chart(name: str, drawing: Drawing, *, texts: str = "", captions: Path = _CAPTIONS) -> Chart:
    """Return a drawing with its texts.

    Args:
        name: Identifier of the figure in the page.
        drawing: Figure, or the reason why there is none.
        texts: Key of the texts if it is not `name`.
        captions: File of the texts; by default that of the replay.
    """
    caption = _captions(captions)[texts or name]
    if isinstance(drawing, str):
        return Chart(name, caption["title"], drawing)
    svg = to_svg(drawing, name, caption["image"])
    return Chart(name, caption["title"], caption["how_to_read"], caption["warning_signs"], svg)


@cache
def _captions(file: Path) -> dict[str, dict[str, str]]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def report_style() -> AbstractContextManager[None]:
    """Return a context that isolates figures from the user's Matplotlib settings."""
    return style.context([_HERE / "report.mplstyle", dict(_COLOURS)], after_reset=True)


def new_figure(height_in: float) -> Figure:
    """Return a transparent figure of page width, independent of any display."""
    figure = Figure(figsize=(WIDTH_IN, height_in), facecolor="none")
    FigureCanvasSVG(figure)
    return figure


def panel_grid(
    rows: int,
    columns: int,
    height_in: float | Sequence[float],
    *,
    widths: Sequence[float] | None = None,
    between_in: float = _BETWEEN_ROWS_IN,
    left_in: float = _LEFT_IN,
    right_in: float = _RIGHT_IN,
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with rows of panels, with room for a legend above and a time axis below them.

    Rows have equal heights, or those in `height_in`. Columns have equal widths, or widths in the proportions of
    `widths`.
    """
    heights = [height_in] * rows if isinstance(height_in, float) else height_in
    mean_in = fmean(heights)
    all_in = _TOP_IN + rows * mean_in + (rows - 1) * between_in + _BOTTOM_IN
    figure = new_figure(all_in)
    figure.subplots_adjust(
        left=left_in / WIDTH_IN,
        right=1.0 - right_in / WIDTH_IN,
        bottom=_BOTTOM_IN / all_in,
        top=1.0 - _TOP_IN / all_in,
        wspace=_BETWEEN_COLUMNS_IN * columns / (WIDTH_IN - left_in - right_in - _BETWEEN_COLUMNS_IN * (columns - 1)),
        hspace=between_in / mean_in,
    )
    grid = figure.subplots(rows, columns, squeeze=False, width_ratios=widths, height_ratios=heights)
    return figure, [list(row) for row in grid]


def to_svg(figure: Figure, name: str, description: str) -> Markup:
    """Return the figure as an SVG element; equal figures give equal text.

    Referenced identifiers get the prefix `name`, so that several figures fit in one page. Coordinates are rounded to
    0.01 points.
    """
    output = io.StringIO()
    figure.savefig(output, format="svg", metadata={"Date": None, "Creator": None})
    text = output.getvalue()
    text = text[text.index("<svg ") :]
    text = _COMMON_STYLE.sub("", _METADATA.sub("", text), count=1)
    opening = _OPENING.match(text)
    if opening is None:
        raise ValueError("Matplotlib wrote an SVG without a viewBox")
    needed = set(_REFERENCE.findall(text))
    text = _IDENTITY.sub(lambda match: f' id="{name}-{match[1]}"' if match[1] in needed else "", text)
    text = re.sub(r"(url\(|href=\")#", rf"\1#{name}-", text)
    text = _GEOMETRY.sub(_short_geometry, text)
    text = _HEX.sub(lambda match: _VARIABLES.get(match[0], match[0]), text)
    head = Markup(
        '<svg class="chart" role="img" aria-label="{}" viewBox="{}" xmlns="http://www.w3.org/2000/svg"'
        ' xmlns:xlink="http://www.w3.org/1999/xlink">'
    ).format(description, opening[1])
    return head + Markup(_OPENING.sub("", text, count=1))  # noqa: S704 - Matplotlib escapes what it writes


def _short_geometry(match: re.Match[str]) -> str:
    text = _NEEDLESS_DIGITS.sub("", match[0])
    return _NEEDLESS_SPACE.sub(r"\1", text) if text.startswith(' d="') else text
