"""`pygnc describe`: describe binary layouts for other systems."""

from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.files import echo_files, report_user_errors

app: Final = Application()


@unique
class Layout(StrEnum):
    """Layouts that can be described."""

    STATUS = "status"
    SENTENCES = "sentences"
    JOURNAL = "journal"


@unique
class Form(StrEnum):
    """Forms of a description."""

    XTCE = "xtce"
    C = "c"
    MARKDOWN = "markdown"


@app.command(example="pygnc describe status --as xtce --out pygnc_status.xml")
def describe(
    layout: Annotated[
        Layout, typer.Argument(help="Status record, sentences of the streaming interface, or records of journals.")
    ],
    *,
    form: Annotated[
        Form, typer.Option("--as", help="XTCE 1.2 for ground systems, C header with decoder, or tables in Markdown.")
    ] = Form.MARKDOWN,
    out: Annotated[Path | None, typer.Option(help="File to write, instead of standard output.")] = None,
) -> None:
    """Describe a binary layout of the flight software for other systems."""
    from pygnc_ground.description import c_header, markdown, xtce

    descriptions = {
        (Layout.STATUS, Form.XTCE): xtce.status_document,
        (Layout.STATUS, Form.C): c_header.status_header,
        (Layout.STATUS, Form.MARKDOWN): markdown.status_page,
        (Layout.SENTENCES, Form.XTCE): xtce.sentences_document,
        (Layout.SENTENCES, Form.C): c_header.sentences_header,
        (Layout.SENTENCES, Form.MARKDOWN): markdown.sentences_page,
        (Layout.JOURNAL, Form.XTCE): xtce.journal_document,
        (Layout.JOURNAL, Form.C): c_header.journal_header,
        (Layout.JOURNAL, Form.MARKDOWN): markdown.journal_page,
    }
    text = descriptions[layout, form]()
    with report_user_errors("pygnc describe"):
        if out is None:
            typer.echo(text, nl=False)
        else:
            out.write_text(text, encoding="utf-8")
            echo_files([out])
