"""Output to an MQTT broker, with discovery for Home Assistant derived from the layouts of the streams."""

import json
import logging
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Annotated, Any, Final, Self

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.settings_types import Name, Port, Table
from pygnc_station.sinks.sink import Delivery, Sink
from pygnc_station.store.readings import Column, StoredReading, Stream
from pygnc_station.store.store import Store
from pygnc_station.upload.station_server import tls_context

_CLASSES: Final = {
    "°C": "temperature",
    "V": "voltage",
    "A": "current",
    "W": "power",
    "Wh": "energy",
    "s": "duration",
    "m/s": "speed",
}
_MASS: Final = {"pm_1_": "pm1", "pm_01": "pm1", "pm_2_5_": "pm25", "pm_25": "pm25", "pm_10": "pm10"}
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9_-]+")
_SKIPPED: Final = frozenset({"raw", "checksum"})
_ALARMS: Final = {"protections": "protection", "reductions": "power reduced", "charging_error": "charging error"}
"""Values whose labelled bits or codes are alarms, and the names of the alarms."""
_NAME: Final = "mqtt"
_KEEPALIVE_S: Final = 30
_QOS: Final = 1
_MAX_WAITING: Final = 1000
_log: Final = logging.getLogger(__name__)


class Mqtt(Table, frozen=True):
    """Settings of the MQTT broker that receives current readings: `[sinks.mqtt]`.

    Attributes:
        host: host name of the broker.
        port: TCP port of the broker; usually 8883 with TLS.
        username: user name at the broker.
        password: password at the broker; `${NAME}` is replaced by an environment variable.
        tls: encrypt the connection and check the broker's certificate.
        ca_file: additional CA certificates.
        prefix: first part of all topics.
        discovery_prefix: Home Assistant's discovery prefix; "" disables discovery.
        expire_s: Home Assistant shows a value as unknown after this many seconds.
    """

    host: Name
    port: Port = 1883
    username: str = ""
    password: str = ""
    tls: bool = False
    ca_file: str = ""
    prefix: str = "pygnc"
    discovery_prefix: str = "homeassistant"
    expire_s: Annotated[int, msgspec.Meta(ge=0)] = 300


def topic_part(text: str) -> str:
    """Return a text with `_` for each character that topics and ids do not allow."""
    return _FORBIDDEN.sub("_", text).strip("_") or "_"


def entities(
    station: str, stream: Stream, state_topic: str, availability: str, expire_s: int
) -> dict[str, dict[str, Any]]:
    """Return Home Assistant's configuration of each value and alarm of a stream, by component and entity id."""
    node = "_".join(map(topic_part, (station, stream.gadget_id)))
    device = {"identifiers": [f"pygnc_{node}"], "name": stream.gadget_id, "model": stream.family, "via_device": station}
    found = {}
    for column in stream.layout.columns:
        if column.name in _SKIPPED:
            continue
        id_ = f"{node}_{topic_part(stream.layout.kind)}_{topic_part(column.name)}"
        key = column.name.replace("\\", "\\\\").replace("'", "\\'")
        # In a template, `value_json.values` would be the method of the dictionary.
        value = f"value_json['values']['{key}']"
        common: dict[str, Any] = {
            "state_topic": state_topic,
            "availability_topic": availability,
            "expire_after": expire_s,
            "device": device,
        }
        found[f"sensor/{id_}"] = {
            "name": f"{stream.layout.kind} {column.name.replace('_', ' ')}",
            "unique_id": f"pygnc_{id_}",
            "value_template": "{{ " + value + " }}",
            **common,
            **_quantity(column),
        }
        for suffix, name, condition in _alarms(column, value):
            found[f"binary_sensor/{id_}_{suffix}"] = {
                "name": name,
                "unique_id": f"pygnc_{id_}_{suffix}",
                "value_template": f"{{{{ 'None' if {value} is none else 'ON' if {condition} else 'OFF' }}}}",
                "device_class": "problem",
                **common,
            }
    return found


def _alarms(column: Column, value: str) -> Iterator[tuple[str, str, str]]:
    """Yield suffix of the id, name and condition of each alarm in a column; `value` is the expression of its value."""
    title = _ALARMS.get(column.name)
    if title is None:
        return
    yield "any", title, f"{value} > 0"  # bits without a label too
    for bit, label in column.words if column.of_bits else ():
        yield str(bit), f"{title}: {label}", f"{value} // {1 << bit} % 2 == 1"


def _quantity(column: Column) -> dict[str, str]:
    """Return unit and class of a measured value; {} for a text or code."""
    if not column.unit:
        return {}
    quantity = {"unit_of_measurement": column.unit, "state_class": "measurement"}
    kind = _CLASSES.get(column.unit)
    if column.unit == "µg/m³":
        kind = next((name for part, name in _MASS.items() if column.name.startswith(part)), None)
    elif column.unit == "%" and "humidity" in column.name:
        kind = "humidity"
    elif column.unit == "%" and "charge" in column.name:
        kind = "battery"
    if kind == "energy":  # accumulated, not momentary
        quantity["state_class"] = "total"
    return quantity | ({"device_class": kind} if kind else {})


class MqttSink(Sink):
    """Connection to an MQTT broker, which is restored automatically.

    Values are not retained by the broker, so that an old value is never taken for a new value.

    Raises:
        StationError: the CA certificates cannot be read.
    """

    title = "MQTT"
    delivery = Delivery.CURRENT

    def __init__(self, settings: StationSettings) -> None:
        self._mqtt = settings.sink(_NAME, Mqtt)
        self._station = settings.name
        self._root = f"{self._mqtt.prefix}/{topic_part(settings.name)}"
        self._availability = f"{self._root}/availability"
        self._announced: dict[str, dict[str, dict[str, Any]]] = {}
        self._refusal = ""
        self._is_unreachable = False
        self.connected = threading.Event()
        self._client = _client(settings, self._mqtt, f"pygnc-{topic_part(settings.name)}")
        self._client.max_queued_messages_set(_MAX_WAITING)
        self._client.will_set(self._availability, "offline", _QOS, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = lambda *_: self.connected.clear()
        self._client.connect_async(self._mqtt.host, self._mqtt.port, _KEEPALIVE_S)
        self._client.loop_start()

    @classmethod
    def open(cls, station: StationSettings, store: Store) -> Self:  # noqa: ARG003 - the publisher reads it
        """Return the connection for the settings of a station."""
        return cls(station)

    def poll(self) -> None:
        """Check that the broker has not refused the login.

        Raises:
            StationError: the broker refuses the login.
        """
        if self._refusal:
            raise _refused(self._mqtt, self._refusal)

    @classmethod
    def check(cls, station: StationSettings, timeout_s: float) -> str:
        """Log in to the broker and out again; a running publisher keeps its connection."""
        mqtt, answers = station.sink(_NAME, Mqtt), SimpleQueue[ReasonCode]()
        client = _client(station, mqtt, f"pygnc-{topic_part(station.name)}-{uuid.uuid4().hex[:8]}")
        client.connect_timeout = timeout_s
        client.on_connect = lambda _, __, ___, reason, ____: answers.put(reason)
        try:
            client.connect(mqtt.host, mqtt.port)
            client.loop_start()
            reason = answers.get(timeout=timeout_s)
        except (OSError, Empty) as error:
            why = str(error) or "timeout"
            remedy = "check that the broker is running, and host and port in [sinks.mqtt]"
            raise TransferError(f"{mqtt.host}:{mqtt.port}: the broker does not respond ({why}); {remedy}") from None
        finally:
            client.disconnect()
            client.loop_stop()
        if reason.is_failure:
            raise _refused(mqtt, str(reason))
        return f"{mqtt.host}:{mqtt.port} accepts the login"

    def write(self, stream: Stream, readings: Sequence[StoredReading]) -> None:
        """Publish readings of a stream; announce its values to Home Assistant before the first reading of a kind."""
        topic = "/".join((self._root, topic_part(stream.gadget_id), topic_part(stream.layout.kind)))
        if self._mqtt.discovery_prefix and topic not in self._announced:
            self._announced[topic] = entities(self._station, stream, topic, self._availability, self._mqtt.expire_s)
            self._announce(self._announced[topic])
        for reading in readings:
            values = dict(zip(stream.layout.names, reading.values, strict=False))
            message = {"time": reading.time, "quality": reading.quality, "flags": reading.flags, "values": values}
            self._client.publish(topic, json.dumps(message, ensure_ascii=False), _QOS)

    def close(self) -> None:
        """Publish that the station is offline, and disconnect."""
        if self.connected.is_set():
            self._client.publish(self._availability, "offline", _QOS, retain=True).wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _announce(self, found: dict[str, dict[str, Any]]) -> None:
        for id_, configuration in found.items():
            topic = f"{self._mqtt.discovery_prefix}/{id_}/config"
            self._client.publish(topic, json.dumps(configuration, ensure_ascii=False), _QOS, retain=True)

    def _on_connect(self, _: paho.Client, __: object, ___: object, reason: ReasonCode, ____: object) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
            return
        self._refusal = ""
        if self._is_unreachable:
            _log.warning("%s:%d: connected to the broker", self._mqtt.host, self._mqtt.port)
        self._is_unreachable = False
        self._client.publish(self._availability, "online", _QOS, retain=True)
        for found in list(self._announced.values()):  # the broker may have lost them
            self._announce(found)
        self.connected.set()

    def _on_connect_fail(self, *_: object) -> None:
        if not self._is_unreachable:
            _log.warning(
                "%s:%d: the broker cannot be reached; retrying (check host and port in [sinks.mqtt])",
                self._mqtt.host,
                self._mqtt.port,
            )
        self._is_unreachable = True


def _client(settings: StationSettings, mqtt: Mqtt, client_id: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
    if mqtt.username:
        client.username_pw_set(mqtt.username, mqtt.password)
    if mqtt.tls:
        client.tls_set_context(tls_context(settings, mqtt.ca_file, "sinks.mqtt"))
    return client


def _refused(mqtt: Mqtt, reason: str) -> StationError:
    remedy = "check username and password in [sinks.mqtt]"
    return StationError(f"{mqtt.host}:{mqtt.port}: the broker refuses the login ({reason}); {remedy}")
