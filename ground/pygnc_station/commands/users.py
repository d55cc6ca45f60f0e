"""`pygnc station user`: people who sign in on the page of the server, and `pygnc station audit`, the log of changes."""

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Connection, insert

from pygnc_cli.exit_codes import UsageError
from pygnc_cli.text import printable
from pygnc_station.commands.common import JsonOption, SettingsOption, command, group, open_store
from pygnc_station.errors import StationError
from pygnc_station.server import accounts
from pygnc_station.server.accounts import Role
from pygnc_station.store import schema
from pygnc_station.store.readings import clock_ms, iso_time

users: Final = group("user", "Users, the people who sign in on the page of the server.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


@command("add", of=users, example="pygnc station user add mary --role administrator")
def add(
    name: NameArgument,
    settings: SettingsOption = None,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.VIEWER,
) -> None:
    """Add a user; the password is read from the terminal, or from the first line of standard input."""
    given = _password()
    with _changes(settings) as connection:
        accounts.add_user(connection, name, given, role, clock_ms())
        accounts.note_command(connection, f'Add a user: name "{name}", role "{role}"', clock_ms())
    typer.echo(f"{name} is {role} now")


@command("list", of=users)
def list_users(settings: SettingsOption = None, *, as_json: JsonOption = False) -> None:
    """Show users with their roles."""
    with open_store(settings) as store, store.reads() as connection:
        for user in accounts.list_users(connection):
            factor = "  second factor" if user.has_second_factor else ""
            typer.echo(json.dumps(user._asdict()) if as_json else f"{user.name}  {user.role}{factor}")


@command("password", of=users, example="pygnc station user password mary")
def password(name: NameArgument, settings: SettingsOption = None) -> None:
    """Give a user another password, read as by `pygnc station user add`, and end the user's sessions."""
    _change(settings, name, "password", password=_password())


@command("role", of=users, example="pygnc station user role mary operator")
def role_of(
    name: NameArgument, role: Annotated[Role, typer.Argument(help="New role.")], settings: SettingsOption = None
) -> None:
    """Give a user another role."""
    _change(settings, name, f'role "{role}"', role=role)


@command("remove-factor", of=users, example="pygnc station user remove-factor mary")
def remove_factor(name: NameArgument, settings: SettingsOption = None) -> None:
    """Remove the second factor of a user, for example after the loss of the device."""
    _change(settings, name, "no second factor", totp_secret="")


@command("remove", of=users, example="pygnc station user remove mary")
def remove(name: NameArgument, settings: SettingsOption = None) -> None:
    """Remove a user and end the user's sessions."""
    with _changes(settings) as connection:
        accounts.remove_user(connection, name)
        accounts.note_command(connection, f'Remove a user: name "{name}"', clock_ms())
    typer.echo(f"{name} was removed")


@command("import", of=users, example="pygnc station user import users.json")
def import_logins(
    file: Annotated[Path, typer.Argument(help="Output of Django's `manage.py dumpdata`.")],
    settings: SettingsOption = None,
) -> None:
    """Add the logins of batonopc's Django server as viewers, who keep their passwords."""
    found = list(_logins(file))
    if not found:
        raise StationError(f"{file}: no login with a password of the kind pbkdf2_sha256; export the users by dumpdata")
    added = 0
    with _changes(settings) as connection:
        for name, known in found:
            if accounts.is_user(connection, name):
                continue
            row = {"name": name, "role": Role.VIEWER, "password_hash": known, "created_ms": clock_ms()}
            connection.execute(insert(schema.users), row)
            accounts.note_command(connection, f'Import a login: name "{name}"', clock_ms())
            added += 1
    typer.echo(f"{added} of {len(found)} logins were added; the others existed before")


@command("audit", example="pygnc station audit -n 20")
def audit(
    settings: SettingsOption = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=10_000, help="Number of entries.")] = 50,
) -> None:
    """Show the newest changes by users, tokens and commands: time, who, from where, and what."""
    with open_store(settings) as store, store.reads() as connection:
        for entry in accounts.audited(connection, count):
            typer.echo(printable(f"{iso_time(entry.t_utc_ms)}  {entry.who}  {entry.origin}  {entry.action}"))


@contextmanager
def _changes(settings: Path | None) -> Iterator[Connection]:
    """Begin a change of the store; a missing library is a user's problem."""
    try:
        with open_store(settings) as store, store.writes() as connection:
            yield connection
    except ModuleNotFoundError as error:
        raise StationError(f"users need the library {error.name}: {accounts.ACCOUNTS_REMEDY}") from error


def _change(settings: Path | None, name: str, what: str, **values: Any) -> None:  # noqa: ANN401 - those of change_user
    with _changes(settings) as connection:
        accounts.change_user(connection, name, **values)
        accounts.note_command(connection, f'Change a user: name "{name}", {what}', clock_ms())
    typer.echo(f"{name} was changed")


def _password() -> str:
    """Return a password from the terminal, where it is entered twice, or from the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Password again: ") != first:
        raise UsageError("the passwords differ")
    return first


def _logins(file: Path) -> Iterator[tuple[str, str]]:
    """Yield name and hash of each login in a dump, which is a JSON list or has a JSON object per line."""
    try:
        text = file.read_text(encoding="utf-8")
        is_list = text.lstrip().startswith("[")
        objects = json.loads(text) if is_list else map(json.loads, filter(str.strip, text.splitlines()))
        for each in objects:
            fields = each.get("fields", {}) if isinstance(each, dict) else {}
            if fields.get("is_active", True) and accounts.is_django_hash(fields.get("password")):
                name = str(fields.get("email") or fields.get("username") or "").strip()
                if name and name == printable(name) and len(name) <= schema.MAX_NAME_LENGTH:
                    yield name, fields["password"]
    except (ValueError, AttributeError) as error:
        raise StationError(f"{file}: not the output of `manage.py dumpdata` ({error})") from None
