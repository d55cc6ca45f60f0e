"""SMTP server on the loopback that keeps messages, or refuses them."""

import email
import email.policy
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

WARNINGS = ("ignore:Requiring AUTH while not requiring TLS", "ignore:Session.login_data is deprecated")
"""Filters of aiosmtpd's warnings: a login without TLS is safe on the loopback."""


@dataclass
class MailServer:
    """Running server: messages that it has accepted, and the number of messages that it refuses first."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    refusals: int = 0
    attempts: int = 0
    password: str = ""

    def url(self, user: str = "") -> str:
        """Return the URL of the server for Apprise."""
        login = f"{user}@" if user else ""
        return f"mailto://{login}127.0.0.1:{self.port}/?mode=insecure&from=server@there.example&to=me@here.example"

    async def handle_DATA(self, _: object, __: object, envelope: Envelope) -> str:  # noqa: N802 - named by aiosmtpd
        self.attempts += 1
        if self.refusals:
            self.refusals -= 1
            return "451 busy"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"

    def authenticate(self, *arguments: Any) -> AuthResult:  # noqa: ANN401 - aiosmtpd's
        is_right = arguments[-1].password == self.password.encode()
        return AuthResult(success=is_right, handled=is_right, auth_data="user" if is_right else None)


@contextmanager
def mail_server(password: str = "", port: int = 0) -> Iterator[MailServer]:
    """Run a server; with a password it requires a login."""
    found = MailServer(password=password)
    login: dict[str, Any] = {
        "auth_required": True, "auth_require_tls": False, "authenticator": found.authenticate
    } if password else {}  # fmt: skip
    controller = Controller(found, hostname="127.0.0.1", port=port or _free_port(), **login)
    controller.start()
    try:
        found.port = controller.port
        yield found
    finally:
        controller.stop()


def text_of(message: EmailMessage) -> str:
    """Return the plain text of a message."""
    body = message.get_body(("plain", "html"))
    assert body is not None
    text: str = body.get_content()
    return text


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
