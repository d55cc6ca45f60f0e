"""Where logs go: an object store, a user's own place in it, and what opens it.

A store is a URL: `az://container/prefix`, `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder`. Its credentials
come from the environment, by the names that the stores' own tools use (AZURE_STORAGE_CONNECTION_STRING,
AZURE_STORAGE_ACCOUNT_NAME and _KEY, AWS_ACCESS_KEY_ID ...), or with the message that starts a log. They are never
written anywhere.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import obstore.store

STORE_VARIABLE: Final = "PYGNC_STORE_URL"
USER_VARIABLE: Final = "PYGNC_STORE_USER"
TOKEN_VARIABLE: Final = "PYGNC_STORE_TOKEN"  # noqa: S105 - the name of a variable, no secret
_CONNECTION_STRING: Final = "AZURE_STORAGE_CONNECTION_STRING"
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_AZURE: Final = frozenset({"az", "azure", "adl", "abfs", "abfss"})
_SCHEMES: Final = _AZURE | {"s3", "s3a", "gs", "file", "memory"}
_SECRET_IN_URL: Final = re.compile(r"(sig|signature|token|x-amz-[a-z-]+)=[^&\s\"']+", re.IGNORECASE)
_REASONS: Final = (re.compile(r"<Message>([^<\n]*)"), re.compile(r"status code: ([^:\n]*)"))
_CLIENT: Final = {"connect_timeout": "5s", "timeout": "60s"}


class DestinationError(Exception):
    """A place that cannot be used; the message says why, and never what opens it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where logs go.

    Attributes:
        url: of the store.
        user: whose prefix they get; "" for none.
        token: what opens the user's place: a shared access signature or a bearer token of Azure; "" for what is in the
            environment.
    """

    url: str
    user: str = ""
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in _SCHEMES:
            raise DestinationError(f"{_without_secrets(self.url)!r}: a store is az://, s3://, gs:// or file:///")
        if parts.password or parts.query:
            raise DestinationError("the URL of a store carries no secrets: they come from the environment")
        if self.user and (_USER.fullmatch(self.user) is None or ".." in self.user):
            raise DestinationError(f"{self.user!r} is no user: letters, digits, and any of . _ @ -")
        if self.token and parts.scheme not in _AZURE:
            raise DestinationError("access tokens open Azure's stores alone; for others use the environment")

    def key(self, name: str) -> str:
        """Return the name of a file in the store."""
        return f"{self.user}/{name}" if self.user else name

    @property
    def takes_attributes(self) -> bool:
        """Whether the store keeps a content type; folders do not."""
        return urlsplit(self.url).scheme not in {"file", "memory"}

    def open(self) -> Any:  # noqa: ANN401 - obstore has a type for each store
        """Return the store.

        Raises:
            DestinationError: it cannot be opened.
        """
        scheme = urlsplit(self.url).scheme
        config = _azure(self.token) if scheme in _AZURE else {}
        endpoint = config.get("endpoint", os.environ.get("AWS_ENDPOINT", ""))
        client = _CLIENT | (
            {"allow_http": True} if endpoint.startswith(("http://127.0.0.1", "http://localhost")) else {}
        )
        try:
            if scheme == "file":
                return obstore.store.LocalStore(urlsplit(self.url).path, mkdir=True)
            if scheme == "memory":
                return obstore.store.from_url(self.url)
            options: dict[str, Any] = {"config": config, "client_options": client, "retry_config": {"max_retries": 2}}
            return obstore.store.from_url(self.url, **options)
        except Exception as error:  # noqa: BLE001 - obstore raises errors of its own and those of its libraries
            raise DestinationError(f"{self.url}: {self.reason(error)}") from None

    def reason(self, error: Exception) -> str:
        """Return why a store did not do something, without what opens it."""
        text = str(error).partition("\n\nDebug source")[0]
        told = next(filter(None, (pattern.search(text) for pattern in _REASONS)), None)
        short = told[1] if told else text.splitlines()[0] if text else type(error).__name__
        for secret in (self.token, *_secrets()):
            short = short.replace(secret, "***") if secret else short
        return _without_secrets(short)


def destination(message: Mapping[str, str] | None = None) -> Destination | None:
    """Return where a log goes: as the message that starts it says, else the environment; None for nowhere.

    Args:
        message: may have `storage` (URL), `id` (user) and `access_token`.

    Raises:
        DestinationError: it is said, and cannot be used.
    """
    said = message or {}
    url = said.get("storage") or os.environ.get(STORE_VARIABLE, "")
    if not url:
        return None
    user = said.get("id") or os.environ.get(USER_VARIABLE, "")
    return Destination(url, user, said.get("access_token") or os.environ.get(TOKEN_VARIABLE, ""))


def _azure(token: str) -> dict[str, str]:
    """Return the store's options out of a connection string and a token; what is missing obstore finds itself."""
    words = dict(part.split("=", 1) for part in os.environ.get(_CONNECTION_STRING, "").split(";") if "=" in part)
    config = {
        option: words[name]
        for name, option in (
            ("AccountName", "account_name"),
            ("AccountKey", "account_key"),
            ("BlobEndpoint", "endpoint"),
            ("SharedAccessSignature", "sas_key"),
        )
        if name in words
    }
    if not token:
        return config
    config.pop("account_key", None)
    return config | ({"sas_key": token.removeprefix("?")} if "sig=" in token else {"token": token})


def _secrets() -> list[str]:
    return [
        part.split("=", 1)[1]
        for part in os.environ.get(_CONNECTION_STRING, "").split(";")
        if part.startswith(("AccountKey=", "SharedAccessSignature="))
    ]


def _without_secrets(text: str) -> str:
    return _SECRET_IN_URL.sub(r"\1=***", text)
