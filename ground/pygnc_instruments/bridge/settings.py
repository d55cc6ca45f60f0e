"""What a bridge is told when it is started."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from pygnc_instruments.bridge.access import is_loopback
from pygnc_instruments.bridge.dialect import Dialect
from pygnc_instruments.bridge.dialect_v1 import DialectV1
from pygnc_instruments.bridge.dialect_v2 import DialectV2
from pygnc_instruments.bridge.envelope import Envelope
from pygnc_instruments.bridge.link import Place

DIALECTS: dict[str, type[DialectV1 | DialectV2 | Envelope]] = {
    kind.name: kind for kind in (DialectV1, DialectV2, Envelope)
}


class SettingsError(Exception):
    """Settings that cannot be; the message says why and what helps."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it.

    Attributes:
        place: where the unit is looked for.
        folder: of log files.
        host: to listen on.
        port: likewise; 0: any.
        protocol: of clients at the path `/`; those at `/v1`, `/v2`, `/envelope` get what they ask for.
        interval_s: between readings; None: as each protocol has it.
        origins: pages of others that may connect.
        token: that clients must show; "" for none.
        certificate: PEM file; None: without TLS.
        key: of the certificate; None: in the same file.
    """

    place: Place
    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    protocol: str = "v2"
    interval_s: float | None = None
    origins: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if self.protocol not in DIALECTS:
            raise SettingsError(f"--protocol is one of {', '.join(DIALECTS)}, not {self.protocol!r}")
        if not is_loopback(self.host) and not self.token:
            raise SettingsError(
                f"{self.host} can be reached from other computers: set a token in the environment, "
                "PYGNC_BRIDGE_TOKEN, that clients must show"
            )

    @property
    def scheme(self) -> str:
        """Of the page's address."""
        return "http" if self.certificate is None else "https"

    def dialect(self, path: str) -> Dialect | None:
        """Return a new dialect for a client at a path, None if there is no such path."""
        kind = DIALECTS.get(path.strip("/") or self.protocol)
        return None if kind is None else kind()

    def tls(self) -> ssl.SSLContext | None:
        """Return the server's side of TLS.

        Raises:
            SettingsError: certificate or key cannot be used.
        """
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            files = f"{self.certificate}" if self.key is None else f"{self.certificate}, {self.key}"
            raise SettingsError(f"{files}: no certificate with its key in PEM form: {error}") from None
        return context
