"""One verb alone, called in this process as the command line calls it."""

from __future__ import annotations

import importlib

import typer
from typer.testing import CliRunner

from hsikit.errors import HsikitError

from .conftest import Done


def run(verb: str, *arguments: object) -> Done:
    """What `hsikit VERB ARGUMENTS` says; an error of ours as `hsikit` prints it."""
    app = typer.Typer()

    @app.callback()
    def several() -> None:
        """With a single command typer would swallow its name."""

    importlib.import_module(f"hsikit_cli.{verb}").add_to(app)
    done = CliRunner().invoke(app, [verb, *(str(argument) for argument in arguments)])
    if isinstance(done.exception, HsikitError):
        return Done(done.exception.exit_code, done.stdout, f"error: {done.exception}")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)
