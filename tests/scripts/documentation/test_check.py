"""The check of a built site finds wrong links and everything that is loaded from outside the site."""

from pathlib import Path

import pytest

from scripts.documentation.check import faults


def write_site(folder: Path, body: str, style: str = "") -> Path:
    (folder / "sub").mkdir()
    (folder / "sub/other.html").write_text('<p id="there">text</p>')
    (folder / "index.html").write_text(f'<html><body id="here">{body}</body></html>')
    (folder / "site.css").write_text(style)
    return folder


@pytest.mark.parametrize(
    "body",
    [
        '<a href="sub/other.html#there">a</a>',
        '<a href="#here">a</a>',
        '<a href="https://example.org/">other sites may be linked</a>',
        '<link rel="stylesheet" href="site.css">',
        '<img src="data:image/png;base64,AAAA">',
    ],
)
def test_a_correct_site_has_no_faults(body: str, tmp_path: Path) -> None:
    assert faults(write_site(tmp_path, body, "a { background: url('sub/other.html') }")) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">a</a>', "gone.html: no such file"),
        ('<a href="sub/other.html#gone">a</a>', "sub/other.html#gone: no such anchor"),
        ('<a href="#gone">a</a>', "#gone: no such anchor"),
        ('<img src="gone.png">', "gone.png: no such file"),
        (
            '<script src="https://cdn.example/x.js"></script>',
            "https://cdn.example/x.js: is loaded from outside the site",
        ),
        ('<link href="//fonts.example/x.css">', "//fonts.example/x.css: is loaded from outside the site"),
        ('<p id="a"></p><p id="a"></p>', "two elements have the id a"),
    ],
)
def test_faults_are_named(body: str, fault: str, tmp_path: Path) -> None:
    assert faults(write_site(tmp_path, body)) == [f"index.html: {fault}"]


@pytest.mark.parametrize("style", ["@import 'https://fonts.example/a.css';", "a { src: url(https://fonts.example/a) }"])
def test_fonts_of_other_servers_are_found(style: str, tmp_path: Path) -> None:
    assert "loaded from outside the site" in faults(write_site(tmp_path, "", style))[0]
