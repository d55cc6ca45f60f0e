"""Settings of a station; `settings_file` reads them."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from pygnc_station.errors import StationError
from pygnc_station.server_settings import Serve
from pygnc_station.settings_types import Count, Days, Location, Name, Seconds, Size, Table

_FORMER_SINKS: Final = {
    "mqtt": "host",
    "influx": "url",
    "sensor_community": "sensor",
    "opensensemap": "box",
    "prometheus": "port",
}
"""Outputs whose settings were a table `[NAME]`, with the key that disabled the output if it was empty."""
T = TypeVar("T")
_SQLITE: Final = "sqlite:///"
_OBJECT_STORES: Final = frozenset({"s3", "gs", "az", "abfs", "file"})
_STATION_BYTES: Final = 8_000_000_000
_GADGET_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,78}[A-Za-z0-9])?")


class Device(Table, frozen=True):
    """Settings of a device to log: `[[device]]`.

    Attributes:
        gadget: name of the device in the store, on the server and in topics.
        family: kind of device, as listed by `pygnc station families`.
        port: serial path, `usb://VENDOR:PRODUCT/SERIAL`, or `socket://host:port`.
        baud: baud rate of the line; 0 selects the default of the family.
        interval_s: time between readings in seconds; by default the driver's own interval.
        silence_s: log a warning after this many seconds without a reading.
        thin: store slow kinds of readings, such as EMUS' temperatures, once per the time that the driver declares, and
            at once when a code or a flag changes; otherwise store every reading.
        options: options of the driver.
        location: place of the device; by default that of the station.
    """

    gadget: Name
    family: Name
    port: Name
    baud: Annotated[int, msgspec.Meta(ge=0)] = 0
    interval_s: Seconds | None = None
    silence_s: Seconds = 60.0
    thin: bool = True
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    location: Location | None = None


class Store(Table, frozen=True):
    """Settings of the database of the readings: `[store]`.

    Attributes:
        url: path of an SQLite file, or `mysql://user:password@host/database`; `${NAME}` is replaced by an
            environment variable.
        write_s: write readings to the database at most this often; a power cut loses the readings of this time at most.
        keep_days: delete readings that are older than this, unless they are still to be transferred; 0 keeps all. A
            server keeps their hourly statistics.
        keep_hours_days: a server replaces the hourly statistics of deleted readings that are older than this by daily
            ones; 0 keeps all.
        max_bytes: delete the oldest readings while the SQLite database is larger or leaves less than 200 MB or 5 % of
            its disk free, unless they are still to be transferred; 0: no limit. By default 8 GB for a station, and no
            limit for a server.
    """

    url: str = "readings.db"
    write_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30.0
    keep_days: Days = 0.0
    keep_hours_days: Days = 0.0
    max_bytes: Size | None = None


class Batches(Table, frozen=True):
    """Settings of the files in which readings are uploaded: `[batches]`.

    Attributes:
        pending: folder of batches that are not accepted yet.
        uploaded: folder of batches that the server has accepted.
        type: batch type, which is passed to the server.
        mode: LIVE, TEST or PASS, which is passed to the server.
        most_readings: maximum number of readings in a batch.
        delete_when_accepted: delete accepted batches instead of moving them to `uploaded`.
        max_uploaded_bytes: delete the oldest files in `uploaded` while they are larger in total; 0: no limit.
        delete_readings: delete readings from the store when their batch has been accepted.
        flight_folders: folders whose flight files (`sense.bin`, range files, journals) are added to batches.
    """

    pending: str = "batches2upload"
    uploaded: str = "batches_uploaded"
    type: str = ""
    mode: Literal["LIVE", "TEST", "PASS"] = "LIVE"
    most_readings: Count = 100_000
    delete_when_accepted: bool = False
    max_uploaded_bytes: Size = 1_000_000_000
    delete_readings: bool = False
    flight_folders: list[str] = msgspec.field(default_factory=list)


class Upload(Table, frozen=True):
    """Settings of the transfer of batches to a server: `[upload]`.

    Attributes:
        url: URL of a PyGNC server, of a tinycloud API, or of an object store (`s3://bucket/folder`, `file:///folder`).
        way: protocol: `station`, `object_store`, or one that a package adds; `auto` selects `object_store` for s3, gs,
            az, abfs and file, and `station` for other URLs.
        key_file: file of the gateway's key, which `pygnc station register` writes.
        ca_file: additional CA certificates to check the server's certificate with.
        known_hosts: file of host keys for tinycloud's SCP.
        scp: send tinycloud's batches by SCP; otherwise by HTTPS.
        scp_user: user name for SCP; by default the key, with the batch's id as password, as tinycloud requires.
        scp_identity: private SSH key file for SCP.
        timeout_s: response timeout in seconds.
        insecure: allow plain HTTP to another computer, where everybody on the way can read the key.
    """

    url: str = ""
    way: Name = "auto"
    key_file: str = "gateway_key.txt"
    ca_file: str = ""
    known_hosts: str = "~/.ssh/known_hosts"
    scp: bool = True
    scp_user: str = ""
    scp_identity: str = ""
    timeout_s: Seconds = 30.0
    insecure: bool = False

    @property
    def kind(self) -> str:
        """Protocol, with `auto` resolved."""
        if self.way != "auto":
            return self.way
        return "object_store" if self.url.split("://")[0] in _OBJECT_STORES else "station"


class Sync(Table, frozen=True):
    """Settings of the synchronisation with a central store: `[sync]`.

    Attributes:
        url: path or URL of the central store, as in `[store]`; "" disables synchronisation.
    """

    url: str = ""


class Backup(Table, frozen=True):
    """Settings of the backups: `[backup]`.

    Attributes:
        url: folder, on another disk, or URL of an object store (`s3://bucket/folder`); "" makes no daily backups.
        keep: number of backups that are kept there.
    """

    url: str = ""
    keep: Count = 7


_NO_SERVER: Final = Serve()


class StationSettings(Table, frozen=True):
    """All settings of a station or server.

    Attributes:
        name: name of the station.
        folder: base of relative paths; by default the folder of the settings file.
        location: place of the station, which its server shows on a map.
        sinks: settings of the outputs by name: `[sinks.NAME]`.
    """

    name: str = "station"
    folder: str = ""
    location: Location | None = None
    device: list[Device] = msgspec.field(default_factory=list)
    store: Store = Store()
    batches: Batches = Batches()
    upload: Upload = Upload()
    sync: Sync = Sync()
    backup: Backup = Backup()
    serve: Serve = _NO_SERVER
    sinks: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Return a path of the settings relative to `folder`, with `~` expanded."""
        return Path(self.folder) / Path(name).expanduser()

    @property
    def is_server(self) -> bool:
        """True if the settings contain the table [serve]."""
        return self.serve is not _NO_SERVER

    def sink(self, name: str, kind: type[T]) -> T:
        """Return the settings of an output.

        Args:
            name: name of its table `[sinks.NAME]`.
            kind: type of its settings, such as a subclass of `Table`.

        Raises:
            StationError: a key is unknown, has a wrong type or is out of range; the message names it.
        """
        return _converted(self.sinks.get(name, {}), kind, f"[sinks.{name}]")

    @property
    def store_url(self) -> str:
        """URL or absolute path of the store."""
        return self._absolute(self.store.url)

    @property
    def max_bytes(self) -> int:
        """Largest size of the database in bytes, 0: no limit. A server keeps by default what its stations delete."""
        default = 0 if self.is_server else _STATION_BYTES
        return default if self.store.max_bytes is None else self.store.max_bytes

    @property
    def central_url(self) -> str:
        """URL or absolute path of the central store, "" if there is none."""
        return self._absolute(self.sync.url) if self.sync.url else ""

    def _absolute(self, url: str) -> str:
        path = url.removeprefix(_SQLITE)
        return url if "://" in path else str(self.path(path))

    def devices(self, name: str = "") -> list[Device]:
        """Return the device with this name, or all devices for "".

        Raises:
            StationError: the settings contain no such device.
        """
        if not self.device:
            raise StationError(f"the settings in {self.folder} contain no device; add a [[device]] table")
        found = [device for device in self.device if name in ("", device.gadget)]
        if not found:
            names = ", ".join(device.gadget for device in self.device)
            raise StationError(f"unknown device {name!r}; the settings in {self.folder} contain {names}")
        return found


def settings_of(table: dict[str, Any], source: str) -> StationSettings:
    """Return the settings of a table.

    Args:
        table: content of the settings file.
        source: name of the file, for error messages.

    Raises:
        StationError: a key is unknown, has a wrong type or is out of range; the message names it.
    """
    settings = _converted(_with_sinks(table, source), StationSettings, source)
    names = [device.gadget for device in settings.device]
    for name in names:
        check_gadget(name, f"{source}: ")
        if names.count(name) > 1:
            raise StationError(f"{source}: gadget {name!r} is the name of two devices; rename one of the devices")
    return settings


def _converted(table: dict[str, Any], kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise StationError(f"{where}: {error}") from None


def _with_sinks(table: dict[str, Any], source: str) -> dict[str, Any]:
    """Move the former tables of outputs to `sinks`, except those of disabled outputs."""
    former = {name: table[name] for name in _FORMER_SINKS if name in table}
    sinks = table.get("sinks", {})
    for name in former:
        if name in sinks:
            raise StationError(f"{source}: [{name}] and [sinks.{name}] are settings of one output; delete [{name}]")
    used = {name: options for name, options in former.items() if options and options.get(_FORMER_SINKS[name], name)}
    others = {name: value for name, value in table.items() if name not in former}
    return others | {"sinks": used | sinks} if used else others


def cursor_of(sink: str) -> str:
    """Return the name under which a store records what an output has received."""
    return sink if sink in _FORMER_SINKS else f"sinks.{sink}"


def check_gadget(name: str, where: str = "") -> str:
    """Return the name of a device; `where` begins the error message.

    Raises:
        StationError: the name contains characters that are not allowed.
    """
    if not _GADGET_NAME.fullmatch(name):
        raise StationError(
            f"{where}gadget {name!r} may contain only letters, digits, spaces, dots, hyphens and underscores, and must"
            " begin and end with a letter or digit"
        )
    return name
