"""Settings of a station: one file, TOML or YAML. Defaults are those of a Raspberry Pi with one sensor."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from pygnc_station.errors import StationError

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Days: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
_SQLITE: Final = "sqlite:///"
_OBJECT_STORES: Final = frozenset({"s3", "gs", "az", "abfs", "file"})


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file; keys that it does not know are told, not passed over."""


class Device(Table, frozen=True):
    """One device: `[[device]]`.

    Attributes:
        gadget: its name everywhere: in the store, on the server, in topics.
        family: kind of device, as `pygnc station families` lists them.
        port: serial path, `usb://VENDOR:PRODUCT/SERIAL`, `socket://host:port`.
        baud: speed of the line, 0 for the family's usual one.
        interval_s: between readings; without it what the driver does by itself.
        silence_s: so long without a reading is worth a warning.
        options: handed to the driver's `open`.
    """

    gadget: Name
    family: Name
    port: Name
    baud: Annotated[int, msgspec.Meta(ge=0)] = 0
    interval_s: Seconds | None = None
    silence_s: Seconds = 60.0
    options: dict[str, Any] = {}


class Store(Table, frozen=True):
    """Where readings are kept: `[store]`.

    Attributes:
        url: path of an SQLite file, or `mysql://user:password@host/database`; `${NAME}` is taken from the environment.
        keep_days: older readings are deleted when nobody waits for them; 0 keeps all.
    """

    url: str = "readings.db"
    keep_days: Days = 0.0


class Batches(Table, frozen=True):
    """How readings become files for the server: `[batches]`.

    Attributes:
        pending: folder of batches that are to be sent.
        uploaded: folder of batches that the server has accepted.
        type: of the batches, for the server.
        mode: LIVE, TEST or PASS, for the server.
        most_readings: of one batch.
        delete_when_accepted: in place of moving to `uploaded`.
        delete_readings: delete readings from the store once their batch is accepted.
        flight_folders: folders whose files (`sense.bin`, ranges, journals) travel in batches too.
    """

    pending: str = "batches2upload"
    uploaded: str = "batches_uploaded"
    type: str = ""
    mode: Literal["LIVE", "TEST", "PASS"] = "LIVE"
    most_readings: Count = 100_000
    delete_when_accepted: bool = False
    delete_readings: bool = False
    flight_folders: list[str] = []


class Upload(Table, frozen=True):
    """Where batches go: `[upload]`.

    Attributes:
        url: of a PyGNC server, a tinycloud API, or an object store (`s3://bucket/folder`, `file:///folder`).
        way: how; `auto` takes `object_store` for s3, gs, az and file, and `station` for the rest.
        key_file: the gateway's key, made by `pygnc station register`.
        ca_file: certificates of one's own authority, to check the server's with.
        known_hosts: host keys of the server, for tinycloud's SCP.
        scp: whether tinycloud's batches go by SCP (else by HTTPS).
        scp_user: who logs in there; by default the key, with the batch's id for a password, as tinycloud has it.
        scp_identity: file of an SSH key to log in with.
        timeout_s: without an answer.
    """

    url: str = ""
    way: Literal["auto", "station", "tinycloud", "object_store"] = "auto"
    key_file: str = "gateway_key.txt"
    ca_file: str = ""
    known_hosts: str = "~/.ssh/known_hosts"
    scp: bool = True
    scp_user: str = ""
    scp_identity: str = ""
    timeout_s: Seconds = 30.0

    @property
    def kind(self) -> Literal["station", "tinycloud", "object_store"]:
        """How, `auto` resolved."""
        if self.way != "auto":
            return self.way
        return "object_store" if self.url.split("://")[0] in _OBJECT_STORES else "station"


class Sync(Table, frozen=True):
    """A central store that gets all readings: `[sync]`.

    Attributes:
        url: as in `[store]`; "" for none.
    """

    url: str = ""


class Mqtt(Table, frozen=True):
    """A broker that gets readings as they come, with discovery for Home Assistant: `[mqtt]`.

    Attributes:
        host: of the broker; "" for none.
        port: of the broker; 8883 is usual with TLS.
        username: at the broker.
        password: at the broker; `${NAME}` is taken from the environment.
        tls: whether the connection is encrypted, and the broker's certificate checked.
        ca_file: certificates of one's own authority.
        prefix: of topics.
        discovery_prefix: Home Assistant's; "" for no discovery.
        expire_s: after that a value counts as unknown.
    """

    host: str = ""
    port: Port = 1883
    username: str = ""
    password: str = ""
    tls: bool = False
    ca_file: str = ""
    prefix: str = "pygnc"
    discovery_prefix: str = "homeassistant"
    expire_s: Annotated[int, msgspec.Meta(ge=0)] = 300


class Influx(Table, frozen=True):
    """An InfluxDB that gets all readings with their own times: `[influx]`.

    Attributes:
        url: with path and query, such as `http://host:8086/api/v2/write?org=o&bucket=b`, or of the first generation
            `http://name:password@host:8086/write?db=d`; "" for none.
        token: for the header; `${NAME}` is taken from the environment.
    """

    url: str = ""
    token: str = ""


class Prometheus(Table, frozen=True):
    """A place where Prometheus finds the newest values: `[prometheus]`.

    Attributes:
        port: 0 for none.
        host: address to listen at.
        expire_s: after that a value is left out.
    """

    port: Port = 0
    host: str = "127.0.0.1"
    expire_s: Seconds = 300.0


class Limits(Table, frozen=True):
    """Sizes: `[serve.limits]`.

    Attributes:
        batch_bytes: of a batch's zip.
        unpacked_bytes: of all its entries.
        ratio: unpacked bytes of an entry per packed byte.
        entries: in a batch.
        body_bytes: of any other request.
        rows: in one answer.
    """

    batch_bytes: Count = 200_000_000
    unpacked_bytes: Count = 2_000_000_000
    ratio: Count = 200
    entries: Count = 5_000
    body_bytes: Count = 10_000_000
    rows: Count = 10_000


class Serve(Table, frozen=True):
    """The server: `[serve]`.

    Attributes:
        host: address to listen at; other than the loopback it needs TLS, a proxy that has it, or `insecure`.
        port: to listen at.
        folder: of batches that arrive, and of flight files.
        tls_cert: certificate chain, PEM.
        tls_key: its key, PEM.
        behind_proxy: a proxy on this computer has TLS, and says whose request it is.
        insecure: listen without TLS all the same.
        open: whether everybody who reaches it may read; by default those on the loopback.
        scp_host: of tinycloud's uploads by SCP: a host whose sshd puts files into `scp_folder`; "" offers HTTPS only.
        scp_port: of that sshd.
        scp_folder: as that sshd sees it; batches are looked for in KEY/inbox/ID.zip below it.
        keep_batches: keep the zips of accepted batches.
        batonopc_zone: of the times in batonopc's batches, which are local: `Europe/Dublin`; "": this computer's.
        limits: of sizes.
    """

    host: str = "127.0.0.1"
    port: Port = 8321
    folder: str = "server_data"
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    insecure: bool = False
    open: bool | None = None
    scp_host: str = ""
    scp_port: Port = 22
    scp_folder: str = ""
    keep_batches: bool = False
    batonopc_zone: str = ""
    limits: Limits = Limits()

    @property
    def is_local(self) -> bool:
        """Whether only this computer reaches it."""
        return self.host in {"127.0.0.1", "::1", "localhost"}


class StationSettings(Table, frozen=True):
    """Everything.

    Attributes:
        name: of the station.
        folder: what relative paths begin at; by default the folder of the file.
    """

    name: str = "station"
    folder: str = ""
    device: list[Device] = []
    store: Store = Store()
    batches: Batches = Batches()
    upload: Upload = Upload()
    sync: Sync = Sync()
    serve: Serve = Serve()
    mqtt: Mqtt = Mqtt()
    influx: Influx = Influx()
    prometheus: Prometheus = Prometheus()

    def path(self, name: str) -> Path:
        """Return a path of the settings."""
        return Path(self.folder) / Path(name).expanduser()

    @property
    def store_url(self) -> str:
        """The store, its path complete."""
        return self._place(self.store.url)

    @property
    def central_url(self) -> str:
        """The central store, its path complete; "" for none."""
        return self._place(self.sync.url) if self.sync.url else ""

    def _place(self, url: str) -> str:
        path = url.removeprefix(_SQLITE)
        return url if "://" in path else str(self.path(path))

    def gadgets(self, wanted: str = "") -> list[Device]:
        """Return the devices, or the one of a name.

        Raises:
            StationError: there is none.
        """
        if not self.device:
            raise StationError(f"the settings in {self.folder} name no device; add a [[device]] table")
        found = [device for device in self.device if wanted in ("", device.gadget)]
        if not found:
            names = ", ".join(device.gadget for device in self.device)
            raise StationError(f"no device is called {wanted!r} in the settings of {self.folder}; there are {names}")
        return found


_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,78}[A-Za-z0-9])?")


def settings_of(table: dict[str, Any], source: str) -> StationSettings:
    """Return the settings of a table.

    Raises:
        StationError: a key is unknown, of a wrong type, or out of its range; the message names it.
    """
    try:
        settings = msgspec.convert(table, StationSettings)
    except msgspec.ValidationError as error:
        raise StationError(f"{source}: {error}") from None
    names = [device.gadget for device in settings.device]
    for name in names:
        if not _NAME.fullmatch(name):
            raise StationError(f"{source}: gadget {name!r}: letters, digits, spaces, points, hyphens, underscores only")
        if names.count(name) > 1:
            raise StationError(f"{source}: two devices are called {name!r}")
    return settings
