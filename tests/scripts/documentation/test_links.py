"""Links between files of the repository become links between pages of the site."""

from pathlib import PurePosixPath

import pytest

from scripts.documentation.links import page_of, source_page, source_targets, targets, with_site_links

PAGE = PurePosixPath("docs/components/orbit.md")


@pytest.mark.parametrize(
    ("link", "translated"),
    [
        ("../benchmarks.md", "../benchmarks.md"),
        ("../settings.md#logs", "../settings.md#logs"),
        ("../architecture.svg", "../architecture.svg"),
        ("../decisions", "../decisions/index.md"),
        ("../../README.md#contributors", "../source/README.md#contributors"),
        ("../../pyproject.toml", "../source/pyproject.toml.md"),
        ("../../examples/", "../source/examples/index.md"),
        ("#here", "#here"),
        ("https://example.org/a.md", "https://example.org/a.md"),
        ("../missing.md", "../missing.md"),
        ("../../../outside.md", "../../../outside.md"),
    ],
)
def test_links_lead_to_pages(link: str, translated: str) -> None:
    text = f"see [this]({link}) and [that](orbit.md)"
    assert with_site_links(text, PAGE) == f"see [this]({translated}) and [that](orbit.md)"


def test_code_blocks_are_unchanged() -> None:
    text = "```\n[a](../../README.md)\n```\n[b](../../README.md)"
    assert with_site_links(text, PAGE) == "```\n[a](../../README.md)\n```\n[b](../source/README.md)"


def test_a_page_outside_docs_links_relative_to_its_place_in_the_repository() -> None:
    assert with_site_links("[a](docs/replay.md) [b](pyproject.toml)", PurePosixPath("README.md")) == (
        "[a](../replay.md) [b](pyproject.toml.md)"
    )


def test_linked_documents_and_folders_bring_what_they_link_to() -> None:
    found = source_targets({PAGE: "[a](../../README.md) [b](../../examples)"})
    assert {PurePosixPath("README.md"), PurePosixPath("examples"), PurePosixPath("examples/imu.json")} <= found
    assert not any(target.is_relative_to("docs") for target in found)


def test_every_link_of_a_folder_page_leads_to_a_page_of_the_folder() -> None:
    folder = PurePosixPath("examples")
    page = source_page(folder)
    linked = {page_of(folder).parent / link for link in (f"{name}" for name in _links(page))}
    assert linked == {page_of(target) for target in source_targets({}, [folder]) - {folder}}


def test_every_page_of_an_entry_of_the_changelog_has_a_title() -> None:
    entries = [target for target in source_targets({}, [PurePosixPath("changelog.d")]) if target.suffix == ".md"]
    assert len(entries) > 1
    assert [target for target in entries if not source_page(target).startswith("# ")] == []


def test_images_and_links_are_targets() -> None:
    assert targets("![d](../architecture.svg)\n[x](http://a/)", PAGE) == {PurePosixPath("docs/architecture.svg")}


def _links(text: str) -> list[str]:
    return [part.partition(")")[0] for part in text.split("](")[1:]]
