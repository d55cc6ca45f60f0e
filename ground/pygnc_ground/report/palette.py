"""Colours and line styles of the report.

A figure is drawn in the light colours; the page replaces each by the CSS variable of its name, so that the same figure
is right in a dark surrounding. The hues of the estimates can be told apart with any colour vision.
"""

from types import MappingProxyType
from typing import Final, NamedTuple


class Colour(NamedTuple):
    """One colour, on a light and on a dark page, as #rrggbb. No two have the same `light`."""

    light: str
    dark: str


PALETTE: Final = MappingProxyType(
    {
        "page": Colour("#fefefe", "#12161b"),
        "panel": Colour("#f7f9fb", "#1a2027"),
        "ink": Colour("#1c2229", "#e4e8ec"),
        "muted": Colour("#5a6572", "#9ba7b4"),
        "grid": Colour("#dde3e9", "#2e3741"),
        "edge": Colour("#b4bec8", "#46515d"),
        "shade": Colour("#e9edf2", "#07090b"),
        "land": Colour("#e2e7dc", "#2b3330"),
        "coast": Colour("#96a38f", "#5d6d65"),
        "filter": Colour("#0a62b0", "#62adf5"),
        "filter-band": Colour("#cbdff2", "#1f3b58"),
        "smoother": Colour("#c4570a", "#f59d4d"),
        "smoother-band": Colour("#f7dabf", "#54371c"),
        "batch": Colour("#177245", "#4fc98e"),
        "mirror": Colour("#a62f7e", "#ee8fcb"),
        "mirror-band": Colour("#f0d3e6", "#4d2340"),
        "limit": Colour("#6d3fa3", "#b995f2"),
        "rejected": Colour("#c2183a", "#ff7186"),
        "good": Colour("#1a7a3e", "#58cc86"),
        "look": Colour("#a85b00", "#f0b155"),
    }
)

INK: Final = PALETTE["ink"].light
MUTED: Final = PALETTE["muted"].light
LAND: Final = PALETTE["land"].light
COAST: Final = PALETTE["coast"].light
GRID: Final = PALETTE["grid"].light
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

OF_ESTIMATE: Final = MappingProxyType({name: PALETTE[name].light for name in ("filter", "smoother", "batch")})
BAND_OF_ESTIMATE: Final = MappingProxyType({name: PALETTE[f"{name}-band"].light for name in ("filter", "smoother")})

STYLE: Final = MappingProxyType(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "pygnc",
        "font.family": ["DejaVu Sans"],
        "font.size": 7.5,
        "text.color": INK,
        "text.parse_math": False,
        "axes.facecolor": PALETTE["panel"].light,
        "axes.edgecolor": PALETTE["edge"].light,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.6,
        "axes.titlesize": 8.0,
        "axes.titlelocation": "left",
        "axes.titlepad": 4.0,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "axes.formatter.useoffset": False,
        "grid.color": GRID,
        "grid.linewidth": 0.5,
        "xtick.color": PALETTE["edge"].light,
        "ytick.color": PALETTE["edge"].light,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.linewidth": 0.9,
        "legend.frameon": False,
    }
)
