"""Settings of the HTTP server: the table `[serve]` of the settings file."""

import re
from datetime import time
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from pygnc_station.settings_types import Count, Kappa, Location, Minutes, Name, Port, Seconds, Size, Table, zone_of

_QUIET: Final = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)")
_MARGIN: Final = 0.05
"""Difference between the limit of a rule and its level of clearing, as a part of the limit."""
RuleName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][\w .-]{0,39}$")]


class Limits(Table, frozen=True):
    """Limits of requests and batches: `[serve.limits]`.

    Attributes:
        batch_bytes: maximum size of a batch's zip.
        unpacked_bytes: maximum total size of its unpacked entries.
        ratio: maximum ratio of unpacked to packed size of an entry.
        entries: maximum number of entries of a batch.
        open_uploads: maximum number of announced batches of a station that have not arrived completely; the oldest of
            them is discarded for a further one, and begins anew when the station returns to it.
        body_bytes: maximum size of any other request.
        rows: maximum number of readings in a response.
        connections: maximum number of open connections; fewer if the process may not open that many files.
        header_s: maximum time from the opening of a connection to the end of a request's headers, in seconds.
        transfer_s: time over which `slowest_bytes_s` is averaged, in seconds.
        slowest_bytes_s: minimum rate at which a client sends a body or receives a response, in bytes per second.
        future_s: maximum time in seconds by which a reading may be ahead of the server's clock before it is flagged as
            dated in the future and never shown as the latest.
        folder_bytes: `pygnc station prune` deletes the oldest zips of each folder of received batches (quarantine,
            rejected, accepted) while they are larger in total; 0: no limit.
    """

    batch_bytes: Count = 200_000_000
    unpacked_bytes: Count = 2_000_000_000
    ratio: Count = 200
    entries: Count = 5_000
    open_uploads: Count = 20
    body_bytes: Count = 10_000_000
    rows: Count = 10_000
    connections: Count = 500
    header_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    transfer_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    slowest_bytes_s: Size = 100
    future_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 600.0
    folder_bytes: Size = 2_000_000_000

    def latest_ms(self, now_ms: int) -> int:
        """Return the latest time of a reading received at `now_ms` that is not in the future, milliseconds."""
        return now_ms + int(self.future_s * 1000)


class ValueRule(Table, frozen=True):
    """Rule of an alert on values of readings: `[serve.alerts.rules.NAME]`.

    Attributes:
        values: names of the values, with * and ? as wildcards, such as `pm_2_5_ug_m3` or `cell_*_voltage_v`.
        above: limit above which the alert is raised, in the unit of the stored value; either this or `below`.
        below: limit below which the alert is raised.
        of: `each`, the highest or lowest of the values, or `spread`, the difference between the highest and the lowest,
            such as the imbalance of cells.
        for_min: time in minutes for which the limit has to be exceeded, and for which it has to be kept until the alert
            is cleared; 0: a single reading.
        clear: level below (or above, for `below`) which the limit is kept again; by default 5 % inside the limit.
        gadgets: names of gadgets, with * and ? as wildcards.
        corrected: the values are corrected as on the page.
        urgent: notifications are also sent in the quiet hours.
    """

    values: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=20)]
    above: float | None = None
    below: float | None = None
    of: Literal["each", "spread"] = "each"
    for_min: Annotated[float, msgspec.Meta(ge=0, le=10_080)] = 15.0
    clear: float | None = None
    gadgets: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=100)] = msgspec.field(
        default_factory=lambda: ["*"]
    )
    corrected: bool = True
    urgent: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError if the limits contradict each other."""
        if (self.above is None) == (self.below is None):
            raise ValueError("a rule needs either above or below; set one of them")
        if self.clear is None and not self.limit:
            raise ValueError("a limit of 0 has no level 5 % inside it; set clear")
        if self.clear is not None and (self.clear > self.limit if self.is_upper else self.clear < self.limit):
            side = "not above above" if self.is_upper else "not below below"
            raise ValueError(f"clear = {self.clear:g} must be {side} = {self.limit:g}")

    @property
    def is_upper(self) -> bool:
        """True if values above the limit raise the alert."""
        return self.above is not None

    @property
    def limit(self) -> float:
        """Limit, `above` or `below`."""
        return self.above if self.above is not None else self.below or 0.0

    @property
    def clear_level(self) -> float:
        """Level at which the limit is kept again."""
        if self.clear is not None:
            return self.clear
        margin = _MARGIN * abs(self.limit)
        return self.limit - margin if self.is_upper else self.limit + margin


class Alerts(Table, frozen=True):
    """Settings of alerts and of the states of gateways: `[serve.alerts]`. A limit of 0 disables its alert.

    Attributes:
        late_min: a gateway is shown as late if it has sent no request for this many minutes.
        silent_min: a gateway is silent if it has sent no request for this many minutes. Stations upload every quarter
            of an hour, and within one and a half hours after a failure.
        backlog_readings: maximum number of readings of a station that the server has not accepted.
        clock_offset_s: maximum difference between the clocks of station and server in seconds.
        disk_free_bytes: minimum free space of a station's disk.
        server_disk_free_bytes: minimum free space of the disk of the received batches.
        storage_percent: maximum use of the disks of the received batches and of an SQLite database, and of max_bytes in
            [store], in percent.
        check_s: interval of the checks in seconds.
        urls: URL of each destination of notifications by a name of your choice, in the form of Apprise, such as
            `mailtos://user:${PASSWORD}@host` or `jsons://host/path`.
        urls_file: TOML file of further destinations, which only its owner may read; "" for none.
        max_age_min: a reading that is older when it arrives raises and clears no alert on values, in minutes.
        quiet: hours such as 22:00-07:00 in which notifications of alerts on values wait; "" for none.
        zone: time zone of `quiet`, such as `Europe/Dublin`; "" selects this computer's zone.
        rules: rules of alerts on values by a name of your choice.
    """

    late_min: Minutes = 40.0
    silent_min: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 120.0
    backlog_readings: Size = 100_000
    clock_offset_s: Seconds = 60.0
    disk_free_bytes: Size = 200_000_000
    server_disk_free_bytes: Size = 1_000_000_000
    storage_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 80.0
    check_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    urls: dict[Name, str] = msgspec.field(default_factory=dict)
    urls_file: str = ""
    max_age_min: Minutes = 180.0
    quiet: str = ""
    zone: str = ""
    rules: dict[RuleName, ValueRule] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError if the quiet hours or their time zone are invalid."""
        if self.quiet and not _QUIET.fullmatch(self.quiet):
            raise ValueError(f"quiet = {self.quiet!r:.40} is no time span of a day; use a form such as 22:00-07:00")
        zone_of(self.zone)

    @property
    def quiet_times(self) -> tuple[time, time] | None:
        """Begin and end of the quiet hours, None if there are none."""
        found = _QUIET.fullmatch(self.quiet)
        return (time.fromisoformat(found[1]), time.fromisoformat(found[2])) if found else None


class Calibration(Table, frozen=True):
    """Linear calibration of one value of a unit: gain times the value, plus offset in the unit of the value."""

    gain: Annotated[float, msgspec.Meta(gt=0, le=1e3)] = 1.0
    offset: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] = 0.0


class GadgetSettings(Table, frozen=True):
    """Settings of a gadget on the server's page: `[serve.gadgets.NAME]`.

    Attributes:
        location: place on the map; by default the one that its station reports.
        kappa: hygroscopicity of the particles at its place; by default that of `[serve]`.
        time_zone: time zone of its place, such as `Europe/Dublin`; by default that of `[serve]`.
        calibration: calibration by the name of the value, such as `pm_2_5_ug_m3`.
    """

    location: Location | None = None
    kappa: Kappa | None = None
    time_zone: str = ""
    calibration: dict[str, Calibration] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError if the time zone is unknown."""
        zone_of(self.time_zone)


class Public(Table, frozen=True):
    """Data that everybody may read without a token at `/public/`: `[serve.public]`.

    Attributes:
        gadgets: names of the gadgets; none by default, then there is no public page.
        values: names of the values, such as `pm_2_5_ug_m3`; the index needs the concentrations.
        places: show the places of the gadgets on a map.
        frame_ancestors: addresses of the sites that may embed the public page, such as `https://school.example`.
    """

    gadgets: list[Name] = msgspec.field(default_factory=list)
    values: list[Name] = msgspec.field(default_factory=lambda: ["pm_2_5_ug_m3", "pm_10_ug_m3"])
    places: bool = True
    frame_ancestors: list[Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/;,'\"]+$")]] = msgspec.field(
        default_factory=list
    )


class Serve(Table, frozen=True):
    """Settings of the HTTP server: `[serve]`.

    Attributes:
        host: address to listen on; other than the loopback it requires TLS, `behind_proxy` or `insecure`.
        port: TCP port to listen on.
        folder: folder of received batches and flight files.
        tls_cert: certificate chain, PEM.
        tls_key: private key of the certificate, PEM.
        behind_proxy: a proxy terminates TLS and reports the client's address.
        proxies: addresses and networks of the proxies whose report of the client's address is used, such as
            10.88.0.0/16 for a proxy in another container.
        insecure: allow listening without TLS.
        open: allow reading without a token; by default only a server on the loopback allows it.
        scp_host: host whose sshd receives tinycloud's SCP uploads in `scp_folder`; "" offers HTTPS only.
        scp_port: TCP port of that sshd.
        scp_folder: folder as seen by that sshd; batches are expected in KEY/inbox/ID.zip below it.
        keep_batches: keep the zips of accepted batches.
        log_folder: folder of access.log (requests) and failures.log (warnings, errors); "" writes no log files.
        log_bytes: size at which a log file is renamed and a new one begun.
        log_files: number of renamed files of each log that are kept.
        batonopc_zone: time zone of the local times in batonopc's batches, such as `Europe/Dublin`; "" selects this
            computer's zone.
        kappa: hygroscopicity of particles, with which the page corrects concentrations for humidity; 0.3 is typical of
            continental air, 0.7 of marine air; 0 disables the correction.
        time_zone: time zone of the stations, such as `Europe/Dublin`, in which days begin and which the page offers for
            its times; "" means UTC.
        gadgets: settings of gadgets by name.
        tiles: address of the tiles of a map of streets, such as `https://tiles.example/{z}/{x}/{y}.png`; "" shows the
            coastline only and loads nothing from other servers.
        tiles_source: source of the tiles, which the map names.
        public: data that everybody may read without a token.
        limits: limits of requests and batches.
        alerts: alerts and states of gateways.
    """

    host: str = "127.0.0.1"
    port: Port = 8321
    folder: str = "server_data"
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    proxies: list[Name] = msgspec.field(default_factory=lambda: ["127.0.0.1", "::1"])
    insecure: bool = False
    open: bool | None = None
    scp_host: str = ""
    scp_port: Port = 22
    scp_folder: str = ""
    keep_batches: bool = False
    log_folder: str = "server_log"
    log_bytes: Count = 10_000_000
    log_files: Count = 5
    batonopc_zone: str = ""
    kappa: Kappa = 0.3
    time_zone: str = ""
    gadgets: dict[str, GadgetSettings] = msgspec.field(default_factory=dict)
    tiles: Annotated[str, msgspec.Meta(pattern=r"^$|^https?://[^\s/;,'\"?#@{}]+/[^\s;,'\"]*$")] = ""
    tiles_source: str = ""
    public: Public = Public()
    limits: Limits = Limits()
    alerts: Alerts = Alerts()

    def __post_init__(self) -> None:
        """Raise ValueError if the time zone is unknown."""
        zone_of(self.time_zone)

    def gadget(self, name: str) -> GadgetSettings:
        """Return the settings of a gadget, whose name is compared without regard to case."""
        if name in self.gadgets:
            return self.gadgets[name]
        found = (settings for key, settings in self.gadgets.items() if key.lower() == name.lower())
        return next(found, GadgetSettings())

    def zone(self, gadget: str) -> str:
        """Return the name of the time zone of a gadget."""
        return self.gadget(gadget).time_zone or self.time_zone or "UTC"

    @property
    def is_local(self) -> bool:
        """True if the server listens on the loopback only."""
        return self.host in {"127.0.0.1", "::1", "localhost"}
