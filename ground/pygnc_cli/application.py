"""Typer applications with one look of their help: plain text, equal metavars, whole summaries, and an example."""

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

_F = TypeVar("_F", bound=Callable[..., Any])
_METAVARS: Final = {Path: "PATH", int: "N", float: "NUMBER", str: "TEXT"}
_TEXTS: Final = {
    **dict.fromkeys(("--family", "--gadget", "--name", "--object", "--packet", "--preset", "--user"), "NAME"),
    "--begin": "TIME",
    "--ca-file": "FILE",
    "--host": "HOST",
    "--origin": "URL",
    "--port": "PORT",
    "--zone": "ZONE",
}
"""Metavars of options whose value is a text."""
_SETTINGS: Final = {"max_content_width": 100}
_WHOLE: Final = 1000
"""Limit of a summary; none is as long."""


class _WithExample:
    """Command or group whose epilog is an example."""

    epilog: str | None

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - Typer exports neither
        """Write the example."""
        if self.epilog:
            with formatter.section("Example"):
                formatter.write(f"{'':{formatter.current_indent}}{self.epilog}\n")


class Command(_WithExample, TyperCommand):
    """Command whose epilog is an example; its help depends on its own declaration, not on the version of Typer."""

    def __init__(self, name: str | None, *, callback: Callable[..., Any] | None = None, **attributes: Any) -> None:  # noqa: ANN401 - those of TyperCommand
        super().__init__(name, callback=callback, **attributes)
        hints = get_type_hints(callback, include_extras=True) if callback else {}
        self._ranges: dict[str, str] = {}
        for parameter in self.params:
            words = _flat(hints.get(str(parameter.name)))
            if parameter.metavar is None and parameter.param_type_name == "option":
                kind = next((_metavar(word) for word in words if _metavar(word)), None)
                parameter.metavar = _TEXTS.get(parameter.opts[0], kind) if kind == _METAVARS[str] else kind
            for declared in words:
                if isinstance(declared, typer.models.OptionInfo | typer.models.ArgumentInfo):
                    self._ranges[str(parameter.name)] = _range(declared.min, declared.max)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Typer does not export the class
        """Return the words after the name in the usage line."""
        arguments = (parameter for parameter in self.get_params(ctx) if parameter.param_type_name == "argument")
        return ["[OPTIONS]", *map(argument_usage, arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer exports neither
        """Write the sections of arguments and options."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            shown = (parameter for parameter in self.get_params(ctx) if parameter.param_type_name == kind)
            rows = [self._row(parameter) for parameter in shown if not getattr(parameter, "hidden", False)]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def _row(self, parameter: Any) -> tuple[str, str]:  # noqa: ANN401 - Typer does not export the class
        label = argument_name(parameter)
        if parameter.param_type_name == "option":
            value = "" if parameter.is_flag else f" {parameter.metavar}"
            label = ", ".join([*parameter.opts, *parameter.secondary_opts]) + value
        notes = [self._ranges.get(str(parameter.name), ""), "required" if parameter.required else ""]
        default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
        if type(default) in {int, float, str} and default != "" and "default:" not in (parameter.help or ""):
            notes.append(f"default: {default}")
        note = "; ".join(filter(None, notes))
        return label, f"{parameter.help or ''} {f'[{note}]' if note else ''}".strip()


class Group(_WithExample, TyperGroup):
    """Group that lists its commands with whole summaries."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer exports neither
        """Write the names and summaries of all commands."""
        rows = [(name, self.commands[name].get_short_help_str(_WHOLE)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class FirstByDefault(Group):
    """Group whose first command runs if the first argument is neither a command nor a help option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer does not export the class
        """Insert the first command before a file or an option of it."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


class OnDemand(Group):
    """Group whose commands are in modules; a run imports only the module of its command, and help imports all.

    Attributes:
        registry: Application in which the modules register their commands.
        modules: Names of the commands by module.
    """

    registry: ClassVar[typer.Typer]
    modules: ClassVar[Mapping[str, Collection[str]]]

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - those of TyperGroup
        self._imported: set[str] = set()
        self._commands: dict[str, Any] = {}
        super().__init__(**attributes)

    @property
    def commands(self) -> dict[str, Any]:
        """All commands by name."""
        return self._of_modules(self.modules)

    @commands.setter
    def commands(self, _: object) -> None:
        """Do nothing; the base class sets the commands of the application itself, which has none."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - Typer does not export the class
        """Return a command, or None if there is none of that name."""
        modules = [module for module, names in self.modules.items() if cmd_name in names]
        return self._of_modules(modules or self.modules).get(cmd_name)

    def _of_modules(self, modules: Iterable[str]) -> dict[str, Any]:
        if missing := [module for module in modules if module not in self._imported]:
            for module in missing:
                import_module(module)
            self._imported.update(missing)
            self._commands = dict(typer.main.get_group(self.registry).commands)
        return self._commands


class Application(typer.Typer):
    """Application, or a group of its commands if it has a `help`; `example` is the line of a shell that it shows."""

    def __init__(
        self,
        help: str | None = None,  # noqa: A002 - Typer's name
        *,
        name: str | None = None,
        example: str | None = None,
        cls: type[TyperGroup] = Group,
    ) -> None:
        super().__init__(
            name=name,
            cls=cls,
            help=help,
            epilog=example,
            no_args_is_help=help is not None,
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_show_locals=False,
            context_settings=dict(_SETTINGS),
        )

    def command(self, name: str | None = None, *, example: str = "", **options: Any) -> Callable[[_F], _F]:  # noqa: ANN401 - those of Typer
        """Return a decorator that registers a command; `example` is the line of a shell that its help shows."""
        settings = _SETTINGS | options.pop("context_settings", {})
        return super().command(name, cls=Command, epilog=example, context_settings=settings, **options)


def argument_name(parameter: Any) -> str:  # noqa: ANN401 - Typer does not export the class
    """Return the name of an argument as users read it."""
    return str(parameter.metavar or str(parameter.name).upper()).strip("[]{}.")


def argument_usage(parameter: Any) -> str:  # noqa: ANN401 - Typer does not export the class
    """Return an argument as usage lines show it, such as `[FILE...]`."""
    name = argument_name(parameter) + ("..." if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _flat(hint: Any) -> list[Any]:  # noqa: ANN401 - any annotation
    """Return an annotation and all of its parts: types, and what `Annotated` adds."""
    added = getattr(hint, "__metadata__", ())
    return [hint, *added, *(part for argument in get_args(hint) if argument not in added for part in _flat(argument))]


def _metavar(hint: Any) -> str:  # noqa: ANN401 - any part of an annotation
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "|".join(str(member.value) for member in hint)
    return _METAVARS.get(hint, "") if isinstance(hint, type) else ""


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f"at most {most:g}"
    return f"at least {least:g}" if most is None else f"{least:g} to {most:g}"
