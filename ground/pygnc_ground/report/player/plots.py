"""Declaration of the player's plots, which the page draws from the packed tables."""

from collections.abc import Mapping
from typing import Any


class Plots:
    """Plots in groups, in the order in which they are added.

    Attributes:
        groups: For JSON: the title of each group, and its plots.
    """

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []

    def add(
        self,
        group: str,
        title: str,
        unit: str,
        table: str,
        lines: Mapping[str, str],
        *,
        band: str = "",
        to: str = "",
        limit: float | None = None,
        mirrored: bool = False,
        logarithmic: bool = False,
        dots: bool = False,
    ) -> None:
        """Add a plot of columns by their labels.

        Args:
            group: Title of the group.
            title: Title of the plot.
            unit: Unit of all values.
            table: Packed table of the columns.
            lines: Columns by label.
            band: Column of the standard deviation, three of which limit a band.
            to: Column around which the band lies; by default around zero, where an error is expected.
            limit: Level of a horizontal line.
            mirrored: True for a second line at the negative level.
            logarithmic: True for a logarithmic axis of positive values.
            dots: True for single values that no line connects.
        """
        known = next((one for one in self.groups if one["title"] == group), None)
        if known is None:
            self.groups.append(known := {"title": group, "plots": []})
        plot: dict[str, Any] = {"title": title, "unit": unit, "table": table}
        plot["limits"] = [] if limit is None else [limit, -limit] if mirrored else [limit]
        plot["lines"] = [{"label": label, "column": column} for label, column in lines.items()]
        known["plots"].append(plot | {"band": band, "to": to, "logarithmic": logarithmic, "dots": dots})
