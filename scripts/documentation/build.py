"""Build the documentation site.

Usage: python -m scripts.documentation.build --out DIR [--notebooks NAME ...]

The program assembles all pages, those of docs/ and the generated ones, in DIR.source, executes the notebooks, lets
Sphinx translate all with warnings as errors, and checks all links of the result. It needs no network.
"""

import argparse
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from sphinx.cmd.build import main as sphinx_build

from scripts.documentation import links
from scripts.documentation.check import faults
from scripts.documentation.command_reference import command_page
from scripts.documentation.device_reference import packet_page
from scripts.documentation.module_reference import module_pages

HERE: Final = Path(__file__).resolve().parent
DOCS: Final = links.ROOT / links.DOCS


def main(arguments: list[str] | None = None) -> int:
    """Build the site; return 1 if anything in it is wrong."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("--out", type=Path, required=True, help="Folder of the site; it is replaced.")
    parser.add_argument("--notebooks", nargs="+", default=(), help="Notebooks to execute (default: all).")
    options = parser.parse_args(arguments)
    out = options.out
    source = out.with_name(out.name + ".source")
    for folder in (out, source):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("*.md", "*.toml", "*.py", "__pycache__"))
    # A process of its own has only the variables and libraries that a reader's has.
    command = [sys.executable, "-m", "scripts.documentation.notebooks", "--out", str(source / "notebooks")]
    if subprocess.run([*command, *options.notebooks], check=False).returncode:
        return 1
    for page, text in pages().items():
        path = source / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if sphinx_build(
        [
            "--quiet",
            "--fail-on-warning",
            "--keep-going",
            "-c",
            str(HERE),
            "-d",
            f"{source}/.doctrees",
            str(source),
            str(out),
        ]
    ):
        return 1
    found = faults(out)
    for fault in found:
        print(fault, file=sys.stderr)
    if not found:
        print(f"The documentation is in {out}/index.html.")
    return 1 if found else 0


def pages() -> dict[PurePosixPath, str]:
    """Return the Markdown texts of all pages by their paths in the site."""
    plan = tomllib.loads((DOCS / "navigation.toml").read_text())
    written = {PurePosixPath(path.relative_to(DOCS)): path.read_text() for path in sorted(DOCS.rglob("*.md"))}
    named = [PurePosixPath(page) for section in plan["section"] for page in section["pages"]]
    documents = {links.origin_of(page): text for page, text in written.items()}
    in_navigation = [links.origin_of(page) for page in named if page.is_relative_to("source")]
    shown = {
        links.page_of(target): links.source_page(target) for target in links.source_targets(documents, in_navigation)
    }
    linked = {
        page: links.with_site_links(text, links.origin_of(page)) if page.suffix == ".md" else text
        for page, text in (written | shown).items()
    }
    linked |= {
        PurePosixPath("reference/commands.md"): command_page(),
        PurePosixPath("reference/packets.md"): packet_page(),
        **module_pages(),
    }
    others = [page for page in written if page not in named and page.name != "index.md"]
    for folder, about in plan["folders"].items():
        linked[PurePosixPath(folder, "index.md")] = folder_page(folder, about, linked)
    linked[PurePosixPath("index.md")] += "".join(
        contents(section["title"], expanded(section["pages"], others)) for section in plan["section"]
    )
    orphans = set(shown) - set(named)
    return {page: "---\norphan: true\n---\n\n" + text if page in orphans else text for page, text in linked.items()}


def expanded(patterns: list[str], others: list[PurePosixPath]) -> list[PurePosixPath]:
    """Return the pages that a section of the navigation names; `FOLDER/*` stands for the other pages of the folder."""
    found: list[PurePosixPath] = []
    for pattern in map(PurePosixPath, patterns):
        found += [page for page in others if page.parent == pattern.parent] if pattern.name == "*" else [pattern]
    return found


def folder_page(folder: str, about: str, texts: Mapping[PurePosixPath, str]) -> str:
    """Return the page that lists the pages of a folder."""
    names = [page.relative_to(folder) for page in sorted(texts) if page.is_relative_to(folder)]
    return f"# {folder.capitalize()}\n\n{about}\n\n" + contents("", names, hidden=False)


def contents(title: str, names: list[PurePosixPath], *, hidden: bool = True) -> str:
    """Return the directive that puts pages into the navigation."""
    options = (f":caption: {title}\n" if title else "") + (":hidden:\n" if hidden else "") + ":maxdepth: 1\n"
    return "\n```{toctree}\n" + options + "\n" + "".join(f"{name.with_suffix('')}\n" for name in names) + "```\n"


if __name__ == "__main__":
    sys.exit(main())
