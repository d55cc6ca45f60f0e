from itertools import product
from pathlib import Path

import pytest

from pygnc_cli.web_page import PALETTE, page_style

LEAST_OF_TEXT = 4.5
LEAST_OF_MARKS = 3.0
TEXTS = ("ink", "muted", "filter", "smoother", "batch", "mirror", "limit", "rejected", "good", "look")
"""Colours of texts: values stand in the colours of their lines, states in those of their levels."""
PAIRS = (
    *product(TEXTS, ("page", "panel")),
    *product(("ink", "muted", "filter", "rejected"), ("shade",)),
    *product(("page",), ("filter", "look")),
)
MARKS = (*product(TEXTS, ("page", "panel")), ("sun", "panel"))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2 of two colours #rrggbb."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255.0 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_of_black_and_white_and_of_an_example() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_texts_have_the_contrast_of_level_aa(text: str, ground: str, scheme: str) -> None:
    found = contrast(getattr(PALETTE[text], scheme), getattr(PALETTE[ground], scheme))
    assert found >= LEAST_OF_TEXT, f"{text} on {ground}, {scheme}: {found:.2f}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), MARKS)
def test_lines_and_marks_have_the_contrast_of_level_aa(mark: str, ground: str, scheme: str) -> None:
    found = contrast(getattr(PALETTE[mark], scheme), getattr(PALETTE[ground], scheme))
    assert found >= LEAST_OF_MARKS, f"{mark} on {ground}, {scheme}: {found:.2f}"


def test_the_style_sheet_has_both_schemes_and_no_end_tag(tmp_path: Path) -> None:
    (tmp_path / "more.css").write_text(".more { color: var(--ink); }\n")
    style = page_style(tmp_path / "more.css")
    assert style.startswith(":root { --page: #fefefe;")
    assert "@media screen and (prefers-color-scheme: dark) { :root { --page: #12161b;" in style
    assert style.endswith(".more { color: var(--ink); }\n")
    assert "</" not in style
