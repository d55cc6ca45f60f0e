"""Entry point of the packed program: the window without arguments, the server with `serve` and its options."""

import sys

import typer


def main() -> None:
    """Run the server or the window."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        from pygnc_instruments.bridge.command import app  # noqa: PLC0415 - the window does not need it

        app(arguments[1:], prog_name="pygnc-bridge serve")
        return
    try:
        from pygnc_instruments.bridge.window import app as window  # noqa: PLC0415 - the server does not need Tk
    except ImportError as error:
        typer.echo(f"pygnc: the window needs Tk ({error}); run `pygnc-bridge serve`, which works without Tk", err=True)
        sys.exit(1)
    window(arguments, prog_name="pygnc-bridge")


if __name__ == "__main__":
    main()
