"""Findings, and the checks of the computer: clock, disks, and files that other users can read."""

import os
import re
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from pygnc_station.settings import StationSettings
from pygnc_station.store.readings import EARLIEST_PLAUSIBLE_MS
from pygnc_system.files import others_have_access

LOW_DISK_BYTES: Final = 200_000_000
_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
_SYSTEMD: Final = Path("/run/systemd/system")
_MAX_NAMES: Final = 3
_SECRET_KEY: Final = re.compile(
    r"(?!.*_(?:file|path)$).*(?:pass(?!ive)|pwd|token|secret|credential|authorization|key$)", re.IGNORECASE
)
"""Keys of secrets in the settings of outputs, also of those of other packages; addresses may contain passwords."""


class Finding(NamedTuple):
    """Result of one check.

    Attributes:
        is_good: true if no problem was found.
        subject: checked part, such as `disk` or `device NAME`.
        text: result, and the remedy of a problem.
    """

    is_good: bool
    subject: str
    text: str


good = partial(Finding, True)  # noqa: FBT003 - named by the function
bad = partial(Finding, False)  # noqa: FBT003 - likewise


def examine_clock(now_s: float) -> Finding:
    """Check that the time is plausible; `now_s` is in seconds since 1970 (UTC)."""
    time_utc = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s * 1000 < EARLIEST_PLAUSIBLE_MS:
        return bad("clock", f"the time {time_utc} is wrong; connect the network, or set the clock")
    if _SYSTEMD.exists() and not _SYNCHRONISED.exists():
        return good("clock", f"{time_utc}, plausible but not synchronised with a time server (timedatectl)")
    return good("clock", time_utc)


def examine_disks(folders: Iterable[Path]) -> Iterator[Finding]:
    """Check that the disks of folders have space, and that this user can write to the folders."""
    seen = set()
    for wanted in folders:
        folder = next(path for path in (wanted.absolute(), *wanted.absolute().parents) if path.exists())
        if not os.access(folder, os.W_OK):
            yield bad("disk", f"{folder} is not writable; give it to the user of the services (chown)")
        device = folder.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < LOW_DISK_BYTES:
            remedy = "set keep_days in [store], or free some space"
            yield bad("disk", f"only {free_bytes // 1_000_000} MB free at {folder}; {remedy}")
        else:
            yield good("disk", f"{free_bytes / 1e9:.1f} GB free at {folder}")


def examine_modes(settings: StationSettings, file: Path | None) -> Iterator[Finding]:
    """Check that other users cannot read files with passwords, keys or readings, nor the settings file `file`."""
    found = list(_private_files(settings, file))
    opened = [path for path in found if others_have_access(path)]
    if opened:
        names = [shlex.quote(str(path)) for path in opened[:_MAX_NAMES]]
        more = f" and {len(opened) - _MAX_NAMES} more files" if len(opened) > _MAX_NAMES else ""
        yield bad("files", f"other users can read {', '.join(names)}{more}; run chmod go= {' '.join(names)}")
    elif found:
        yield good("files", "other users cannot read passwords, keys and readings")


def _private_files(settings: StationSettings, file: Path | None) -> Iterator[Path]:
    """Yield the existing files that contain secrets or readings; the gateway's key has a check of its own."""
    if file and file.is_file():
        text = file.read_text(encoding="utf-8", errors="replace")
        if any(secret in text for secret in _secrets(settings)):
            yield file
    serve = settings.serve
    names = [".env", settings.upload.scp_identity]
    names += [serve.tls_key, serve.alerts.urls_file] if settings.is_server else []
    for url in (settings.store_url, settings.central_url):
        if "://" not in url:
            names += [url, f"{url}-wal"] if url else []
    folders = [settings.batches.pending, settings.batches.uploaded]
    if settings.is_server:
        folders += [serve.folder, serve.log_folder]
    files = [settings.path(name) for name in names if name]
    for folder in folders:
        files += sorted(settings.path(folder).rglob("*")) if folder else []
    yield from (path for path in files if path.is_file() and path.name != ".lock")


def _texts(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the texts of a table of settings and of those in it, with their keys."""
    for key, value in table.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield from _texts(one)
            elif isinstance(one, str):
                yield key, one


def _password(url: str) -> str:
    """Return the password in an address; "" if it has none or is none."""
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


def _secrets(settings: StationSettings) -> Iterator[str]:
    texts = [*_texts(settings.sinks)]
    urls = (settings.store.url, settings.sync.url, *(text for _, text in texts if "://" in text))
    passwords = [_password(url) for url in urls]
    words = (text for key, text in texts if _SECRET_KEY.match(key))
    yield from filter(None, (*words, *passwords, *map(unquote, passwords), *settings.serve.alerts.urls.values()))
