"""Links between files of the repository, translated to links between pages of the site.

Documents link to each other and to source files by relative paths, as code hosts show them. The site has pages for the
documents in docs/; any other linked file or folder becomes a page below `source/`.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = PurePosixPath("docs")
_LINK: Final = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")
"""The end of a link, whose text may begin in the line before."""
_FENCE: Final = re.compile(r"^ *(```|~~~)")
_LANGUAGES: Final = {".py": "python", ".json": "json", ".toml": "toml", ".yml": "yaml", ".sh": "bash", ".md": ""}


def page_of(target: PurePosixPath) -> PurePosixPath:
    """Return the page, relative to docs/, that shows a file or folder of the repository."""
    path = ROOT / target
    if target.is_relative_to(DOCS):
        inside = target.relative_to(DOCS)
        if inside.suffix == ".py":  # a notebook
            return inside.with_name(inside.stem.replace("_", "-") + ".md")
        return inside / "index.md" if path.is_dir() else inside
    if path.is_dir():
        return "source" / target / "index.md"
    return "source" / target if target.suffix == ".md" else "source" / target.with_name(target.name + ".md")


def origin_of(page: PurePosixPath) -> PurePosixPath:
    """Return the path in the repository of a page that shows a Markdown file."""
    return page.relative_to("source") if page.is_relative_to("source") else DOCS / page


def targets(text: str, origin: PurePosixPath) -> set[PurePosixPath]:
    """Return the files and folders of the repository to which a Markdown file links."""
    return {target for _, match in _links(text) if (target := _target(match, origin)) is not None}


def with_site_links(text: str, origin: PurePosixPath) -> str:
    """Return the text of a Markdown file of the repository with its links translated to links between pages."""
    here = page_of(origin).parent
    return _translated(text, origin, lambda target: os.path.relpath(page_of(target), here).replace(os.sep, "/"))


def with_absolute_links(text: str, origin: PurePosixPath, address: str) -> str:
    """Return the text of a Markdown file of the repository with links to the files below an address."""
    return _translated(text, origin, lambda target: f"{address}/{target}")


def _translated(text: str, origin: PurePosixPath, link_to: Callable[[PurePosixPath], str]) -> str:
    lines = text.split("\n")
    for number, match in reversed(list(_links(text))):
        target = _target(match, origin)
        if target is not None:
            line = lines[number]
            lines[number] = line[: match.start(2)] + link_to(target) + line[match.end(2) :]
    return "\n".join(lines)


def source_page(target: PurePosixPath) -> str:
    """Return the Markdown text of the page of a source file or folder outside docs/."""
    path = ROOT / target
    if path.is_dir():
        return f"# `{target}`\n\n" + "".join(
            f"- [{name}]({os.path.relpath(page_of(target / name), page_of(target).parent)})\n" for name in _files(path)
        )
    text = path.read_text()
    if target.suffix == ".md":
        # Entries of the changelog have no heading, and the search of the site lists pages by their titles.
        return text if text.startswith(("# ", "---\n")) else f"# `{target}`\n\n{text}"
    fence = "`" * 5
    return f"# `{target}`\n\n{fence}{_LANGUAGES.get(target.suffix, 'text')}\n{text}\n{fence}\n"


def source_targets(documents: Mapping[PurePosixPath, str], named: Iterable[PurePosixPath] = ()) -> set[PurePosixPath]:
    """Return all files and folders outside docs/ that need a page: those to which `documents` link, and those `named`.

    `documents` holds texts by path in the repository.
    """
    waiting = {target for origin, text in documents.items() for target in targets(text, origin)} | set(named)
    found: set[PurePosixPath] = set()
    while waiting:
        target = waiting.pop()
        if target.is_relative_to(DOCS) or target in found:
            continue
        found.add(target)
        if (ROOT / target).is_dir():
            waiting |= {target / name for name in _files(ROOT / target)}
        elif target.suffix == ".md":
            waiting |= targets((ROOT / target).read_text(), target)
    return found


def _links(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the number of the line and the match of each link outside code blocks."""
    fenced = False
    for number, line in enumerate(text.split("\n")):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            for match in _LINK.finditer(line):
                yield number, match


def _target(match: re.Match[str], origin: PurePosixPath) -> PurePosixPath | None:
    """Return the path in the repository of a link, or None if the link leaves the repository or names no file of it."""
    link = match[2]
    if not link or ":" in link:
        return None
    target = PurePosixPath(os.path.normpath(origin.parent / link).replace(os.sep, "/"))
    return None if target.parts[0] == ".." or not (ROOT / target).exists() else target


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix in _LANGUAGES)
