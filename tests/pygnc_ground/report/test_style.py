import re

import matplotlib as mpl
import pytest

from pygnc_cli.web_page import PALETTE
from pygnc_ground.report.style import FILTER, new_figure, panel_grid, report_style, to_svg


def svg(name: str = "one", description: str = "a line") -> str:
    with report_style():
        figure, ((axes,),) = panel_grid(1, 1, 1.0)
        axes.plot([0.0, 0.123456789], [0.0, 1.0 / 3.0], color=FILTER)
        axes.plot([0.1], [0.2], "x", color=FILTER)
        axes.set_xticks([0.123456789], ["0.123456789"])
        axes.set_title("a < b & $c$")
        return str(to_svg(figure, name, description))


def test_the_svg_element_has_a_description_and_no_size() -> None:
    text = svg(description='tall "and" <wide>')
    opening = text[: text.index(">", text.index("aria-label")) + 1]
    assert opening.startswith('<svg class="chart" role="img" aria-label="tall &#34;and&#34; &lt;wide')
    assert re.search(r"<svg[^>]* (?:width|height)=", text) is None
    assert "<metadata" not in text
    assert "<style" not in text


def test_identifiers_are_unique_to_the_figure_and_references_find_them() -> None:
    text = svg("alpha")
    identifiers = re.findall(r' id="([^"]*)"', text)
    references = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text))
    assert references
    assert len(identifiers) == len(set(identifiers))
    assert set(identifiers) == references
    assert all(identifier.startswith("alpha-") for identifier in identifiers)


def test_colours_are_css_variables() -> None:
    text = svg()
    assert f"stroke: var(--{next(n for n, c in PALETTE.items() if c.light == FILTER)})" in text
    assert re.search(r"#[0-9a-f]{3,6}\b(?!-)", re.sub(r"(?:url\(|href=\")#[^)\"]+", "", text)) is None
    assert len({colour.light for colour in PALETTE.values()}) == len(PALETTE)


def test_coordinates_are_rounded_and_texts_are_unchanged() -> None:
    text = svg()
    assert ">0.123456789<" in text
    assert ">a &lt; b &amp; $c$<" in text
    assert re.search(r' d="[^"]*\.\d{3}', text) is None


def test_equal_figures_give_equal_text_with_any_user_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    first = svg()
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 7.0)
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "path")
    monkeypatch.setitem(mpl.rcParams, "xtick.direction", "in")
    assert svg() == first
    assert mpl.rcParams["lines.linewidth"] == 7.0


def test_panels_have_the_height_asked_for() -> None:
    figure, grid = panel_grid(3, 2, 1.25)
    heights = {round(axes.get_position().height * figure.get_figheight(), 6) for row in grid for axes in row}
    assert heights == {1.25}
    assert (len(grid), len(grid[0])) == (3, 2)


def test_a_figure_needs_no_display() -> None:
    assert type(new_figure(1.0).canvas).__name__ == "FigureCanvasSVG"
