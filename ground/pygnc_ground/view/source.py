"""Source of `pygnc view`: the feed that pages show at present."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from pygnc_ground.view.feed import Feed

POLL_S: Final = 0.08
"""Interval at which files or a port are read."""


class Source(Protocol):
    """Run, or link to a satellite, that pages show."""

    feed: Feed
    """Present feed; another one, with another identity, begins with the next run."""

    def describe(self) -> str:
        """Return what is shown, for the terminal."""

    def step(self) -> bool:
        """Read what there is; return True if more may be waiting."""

    def close(self) -> None:
        """Close files or port."""


async def follow(source: Source, report: Callable[[str], None]) -> None:
    """Read a source until this is cancelled; report each change of its state, and once each damage or other version."""
    told = ("", "")
    remarked: set[tuple[str, str]] = set()
    while True:
        is_more = source.step()
        source.feed.commit()
        if source.feed.state != told and source.feed.state[1]:
            told = source.feed.state
            report(told[1])
        for about, text in source.feed.remarks().items():
            if (source.feed.identity, about) not in remarked:
                remarked.add((source.feed.identity, about))
                report(text)
        await asyncio.sleep(0.0 if is_more else POLL_S)
