"""Commented settings file of a new station."""

import json
from typing import Final

from pygnc_station.settings import Device, StationSettings, Upload

_HEAD: Final = """# Settings of this station. docs/station.md describes all of them.
# After a change: pygnc station doctor, then restart the service pygnc-station.

name = {name}  # name of the station on the server and in topics
# location = {{ latitude_deg = 53.3498, longitude_deg = -6.2603 }}  # place on the server's map
"""
_DEVICE: Final = """
[[device]]
gadget = {gadget}  # name of the device in the store, on the server and in topics
family = {family}
port = {port}
{baud}# interval_s = 10      # seconds between readings
"""
_STORE: Final = """
[store]
url = "readings.db"    # or mysql://name:${DB_PASSWORD}@host/database, with the password in the file .env
# write_s = 30         # a power cut loses the readings of this time at most
# keep_days = 400      # transferred readings are deleted after this time; 0: never
"""
_UPLOAD: Final = """
[upload]
url = {url}
{options}"""
_NO_UPLOAD: Final = """
# [upload]             # `pygnc station register` then exchanges a PIN of the server for a key
# url = "https://stations.example"
"""
_OUTPUTS: Final = """
# [sinks.mqtt]         # current values for Home Assistant, by `pygnc station publish`
# host = "homeassistant.local"
# username = "station"
# password = "${MQTT_PASSWORD}"
"""


def settings_text(settings: StationSettings) -> str:
    """Return the text of a settings file with the name, devices and server of `settings`, and comments."""
    devices = "".join(map(_device, settings.device))
    upload = _upload(settings.upload) if settings.upload.url else _NO_UPLOAD
    return _HEAD.format(name=_quoted(settings.name)) + devices + _STORE + upload + _OUTPUTS


def _device(device: Device) -> str:
    texts = {"gadget": _quoted(device.gadget), "family": _quoted(device.family), "port": _quoted(device.port)}
    return _DEVICE.format(**texts, baud=f"baud = {device.baud}\n" if device.baud else "")


def _upload(upload: Upload) -> str:
    options = f"ca_file = {_quoted(upload.ca_file)}\n" if upload.ca_file else ""
    options += "insecure = true        # plain HTTP: everybody on the way can read the key\n" if upload.insecure else ""
    return _UPLOAD.format(url=_quoted(upload.url), options=options)


def _quoted(text: str) -> str:
    """Return a text as a TOML string, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
