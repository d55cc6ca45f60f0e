"""The generated reference contains what the code declares."""

import re
from pathlib import Path

import pytest

from pygnc_cli.subcommands import BUILT_IN
from pygnc_devices.family import all_families
from scripts.documentation.command_reference import command_page
from scripts.documentation.device_reference import packet_page

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def commands() -> str:
    return command_page()


def test_every_subcommand_has_a_section(commands: str) -> None:
    headings = re.findall(r"^#+ (pygnc .*)$", commands, re.MULTILINE)
    assert set(BUILT_IN) <= {heading.split()[1] for heading in headings}
    assert {"pygnc device simulate", "pygnc station serve"} <= set(headings)
    assert len(set(headings)) == len(headings)


def test_options_have_names_defaults_and_meanings(commands: str) -> None:
    section = commands.partition("### pygnc scenario make\n")[2].partition("\n#")[0]
    assert re.search(r"^\| `--out PATH` \| required \| Folder .+ \|$", section, re.MULTILINE)
    section = commands.partition("### pygnc device simulate\n")[2].partition("\n#")[0]
    assert re.search(r"^\| `--speed NUMBER` \| `1.0` \| Simulated .+ \|$", section, re.MULTILINE)


def test_every_packet_of_every_family_has_a_section() -> None:
    headings = re.findall(r"^### (.+)$", packet_page(), re.MULTILINE)
    assert headings == [f"{family.name}: {record.name}" for family in all_families() for record in family.packets]


@pytest.mark.parametrize("page", ["devices.md", "distributions/pygnc-devices.md", "for/laboratories.md"])
def test_pages_of_devices_name_the_makers_of_all_families(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    makers = {family.title.removeprefix("IMU of the ").split()[0] for family in all_families()}
    assert "VectorNav" in makers
    assert [maker for maker in sorted(makers) if maker not in text] == []
