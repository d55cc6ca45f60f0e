"""The bridge as one program: the window without arguments, `serve` and its options for the bridge itself."""

import sys

import typer


def main() -> None:
    """Run one or the other."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        from pygnc_instruments.bridge.command import app  # noqa: PLC0415 - each starts without the other's libraries

        app(arguments[1:], prog_name="pygnc-bridge serve")
        return
    try:
        from pygnc_instruments.bridge.window import app as window  # noqa: PLC0415 - likewise
    except ImportError as error:
        typer.echo(f"pygnc: the window needs Tk: {error}; the bridge itself: pygnc-bridge serve", err=True)
        sys.exit(1)
    window(arguments, prog_name="pygnc-bridge")


if __name__ == "__main__":
    main()
