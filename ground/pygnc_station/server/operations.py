"""Operations of the HTTP server: checks of access and arguments, routes, and the OpenAPI document."""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from typing import Annotated, Any, Final, TypeAlias, TypeVar, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pygnc_station.errors import StationError
from pygnc_station.server.accounts import Role, note
from pygnc_station.server.context import (
    SESSION_COOKIE,
    address_of,
    context_of,
    forgive_attempt,
    require_attempt,
    require_gateway,
    require_own_host,
    require_role,
)
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.schema import MAX_NAME_LENGTH

T = TypeVar("T")
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
"""Non-negative integer that every database can store."""
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, lt=10**18)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_MAX_FIELDS: Final = 100
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)(:\w+)?\}")


class Form(msgspec.Struct, frozen=True):
    """Body of a request that is a form, or a JSON object of the same fields."""


class KeyForm(Form, frozen=True):
    """Form with the gateway's key, which is used if the header contains none: batonopc's header is a placeholder."""

    key: str = ""


class Access(StrEnum):
    """Secret that a request must contain."""

    NONE = "none"
    PIN = "pin"
    READ = "token"
    WRITE = "write_token"
    ADMINISTER = "session"
    GATEWAY = "gateway_key"


_SECRETS: Final = {
    Access.READ: "Token of `pygnc station token`; an open server, such as one on the loopback, requires no token.",
    Access.WRITE: "Token of `pygnc station token --write`, or the session of an operator on the page.",
    Access.GATEWAY: "Key that a station receives when it registers.",
}
"""Secrets in the header `Authorization: Bearer SECRET`."""
_LEAST_ROLES: Final = {
    Access.READ: Role.VIEWER,
    Access.WRITE: Role.OPERATOR,
    Access.ADMINISTER: Role.ADMINISTRATOR,
}
_SECRET_FIELDS: Final = {"password", "new_password", "code"}
_LONGEST_ENTRY: Final = 1000


@dataclass(frozen=True)
class Operation:
    """Request that the server performs.

    Attributes:
        method: HTTP method.
        path: path, with parameters in Starlette's form.
        work: function of the request. Its parameters `query` and `body` receive validated arguments of their annotated
            types, `gateway` receives the id of the station. `request.state.received_ms` is the time at which the
            headers arrived, before any wait for the store. A coroutine function reads the body itself; any other
            function runs in a thread. The result is a response, or the value of a JSON response.
        access: secret that the request must contain.
        status: HTTP status of a JSON response.
        media: media type of a body that `work` reads itself, "" if there is none.
        is_audited: a successful request that changes something is written into the audit log.
    """

    method: str
    path: str
    work: Callable[..., Any]
    access: Access = Access.READ
    status: int = 200
    media: str = ""
    is_audited: bool = True

    @cached_property
    def kinds(self) -> dict[str, Any]:
        """Types of the parameters of `work` by name."""
        return get_type_hints(self.work)

    def route(self) -> Route:
        """Return the route of the operation."""
        return Route(self.path, self.respond, methods=[self.method])

    async def respond(self, request: Request) -> Response:
        """Check access and arguments, and return the response.

        Raises:
            HTTPException: the access or an argument is invalid.
        """
        request.state.received_ms = clock_ms()
        arguments = await self._arguments(request)
        try:
            if inspect.iscoroutinefunction(self.work):
                result = await self.work(request, **arguments)
            else:
                result = await self._in_thread(self.work, request, **arguments)
        except StationError as error:
            raise HTTPException(400, str(error)) from None
        if self.access is Access.PIN:
            forgive_attempt(request)
        if self.is_audited and request.method != "GET" and hasattr(request.state, "actor"):
            await self._in_thread(self._audit, request, arguments.get("body"))
        return result if isinstance(result, Response) else JSONResponse(result, self.status)

    async def _in_thread(self, work: Callable[..., T], request: Request, *arguments: object, **named: object) -> T:
        limiter = context_of(request).gateway_threads if self.access is Access.GATEWAY else None
        return await to_thread.run_sync(partial(work, request, *arguments, **named), limiter=limiter)

    async def _arguments(self, request: Request) -> dict[str, Any]:
        """Check access and arguments, and return the arguments of `work`."""
        kinds = self.kinds
        arguments: dict[str, Any] = {}
        if self.access is Access.GATEWAY:
            key = ""
            if "body" in kinds and issubclass(kinds["body"], KeyForm):
                arguments["body"] = await _body_of(request, kinds["body"])
                key = arguments["body"].key
            arguments["gateway"] = await self._in_thread(require_gateway, request, key)
        elif self.access is Access.PIN:
            require_attempt(request)
        elif self.access is Access.READ and context_of(request).is_open:
            require_own_host(request)
        elif (least := _LEAST_ROLES.get(self.access)) is not None:
            await self._in_thread(require_role, request, least)
        if "query" in kinds:
            arguments["query"] = _validated("query", dict(request.query_params), kinds["query"])
        if "body" in kinds and "body" not in arguments:
            arguments["body"] = await _body_of(request, kinds["body"])
        return arguments

    def _audit(self, request: Request, body: object) -> None:
        """Write a change into the audit log, without the secrets in its body."""
        summary = (inspect.getdoc(self.work) or "").partition("\n")[0].rstrip(".")
        fields = msgspec.to_builtins(body) if body is not None else {}
        shown = {name: value for name, value in fields.items() if name not in _SECRET_FIELDS and value is not None}
        names = {name: value for name, value in request.path_params.items() if name not in shown}
        text = ", ".join(f"{name} {msgspec.json.encode(value).decode()}" for name, value in (names | shown).items())
        action = f"{summary}: {text}"[:_LONGEST_ENTRY] if text else summary
        with context_of(request).store.writes() as connection:
            note(connection, request.state.actor, address_of(request), action, clock_ms())


async def read_body(request: Request, max_bytes: int, error: str) -> bytes:
    """Return the body of a request.

    Raises:
        HTTPException: 413 with the text `error` if the body is longer than `max_bytes`.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, error)
    return bytes(body)


async def _body_of(request: Request, kind: type[T]) -> T:
    limit = context_of(request).serve.limits.body_bytes
    body = await read_body(request, limit, f"the body is longer than {limit} bytes")
    try:
        if not issubclass(kind, Form):
            return msgspec.json.decode(body, type=kind)
        if request.headers.get("content-type", "").startswith(_JSON):
            fields = {name: str(value) for name, value in msgspec.json.decode(body, type=dict[str, Any]).items()}
        else:
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except (ValueError, RecursionError) as error:  # includes errors of msgspec and of UTF-8
        raise HTTPException(400, f"body: {error}") from None
    return _validated("body", fields, kind)


def _validated(name: str, fields: dict[str, str], kind: type[T]) -> T:
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise HTTPException(400, f"{name}: {error}") from None


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the operations: paths, parameters, bodies and security schemes."""
    arguments = ("query", "body")
    structs = [operation.kinds[name] for operation in operations for name in arguments if name in operation.kinds]
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        kinds = operation.kinds
        names = [match[1] for match in _PATH_PARAMETER.finditer(operation.path)]
        parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
        if "query" in kinds:
            schema = schemas[kinds["query"].__name__]
            parameters += [
                {"name": name, "in": "query", "required": name in schema["required"], "schema": field}
                for name, field in schema["properties"].items()
            ]
        summary, _, description = (inspect.getdoc(operation.work) or "").partition("\n\n")
        entry: dict[str, Any] = {"summary": summary, "description": description, "parameters": parameters}
        entry["responses"] = {
            str(operation.status): {"description": "Success."},
            "default": {"description": 'Error: a JSON object with the reason in "error".'},
        }
        entry["security"] = [{operation.access: []}] if operation.access in {*_SECRETS, Access.ADMINISTER} else []
        content: dict[str, Any] = {operation.media: {}} if operation.media else {}
        if "body" in kinds:
            media = (_FORM, _JSON) if issubclass(kinds["body"], Form) else (_JSON,)
            content = {name: {"schema": {"$ref": f"#/components/schemas/{kinds['body'].__name__}"}} for name in media}
        if content:
            entry["requestBody"] = {"required": True, "content": content}
        paths.setdefault(_PATH_PARAMETER.sub(r"{\1}", operation.path), {})[operation.method.lower()] = entry
    bearer = {"type": "http", "scheme": "bearer"}
    secrets = {access: bearer | {"description": text} for access, text in _SECRETS.items()}
    cookie = {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE}
    secrets[Access.ADMINISTER] = cookie | {"description": "Session of an administrator on the page."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "PyGNC station server", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": secrets},
    }
