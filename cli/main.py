"""`hsikit`: spectral scenes into georeferenced maps."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from hsikit.errors import HsikitError, OptionError

from .console import tell

VERBS = (
    "info", "check", "quicklook", "methods", "sensors", "datasets", "pretrain", "train", "train-objects", "evaluate", "benchmark", "classify", "adapt",
    "batch", "plan", "mosaic", "sample", "accuracy", "report", "superresolve", "pansharpen", "anomaly", "detect", "gas", "minerals", "transform", "fill",
    "clip", "warp", "orthorectify", "resample", "convert", "spectrum", "library", "indices", "reflectance", "simulate", "demo",
)  # fmt: skip
RESUMING = (
    "pretrain", "train-objects", "benchmark", "classify", "batch", "superresolve", "pansharpen", "anomaly", "detect", "gas", "minerals", "transform", "fill",
)  # fmt: skip
"""Verbs whose interrupted run the same command goes on with."""
DEBUG = "HSIKIT_DEBUG"
INTERRUPTED = 130

app = typer.Typer(
    name="hsikit",
    help="Spectral scenes from any sensor into georeferenced maps, and what each map is worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _config(context: typer.Context, path: Path | None) -> None:
    """Options from a TOML file: a table for each verb; what the command line says wins."""
    if path is None:
        return
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(path, f"the configuration cannot be read ({error.strerror})", "Check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(path, f"it is not TOML ({error})", "Write a table [classify] with lines such as tile = 256") from None
    unknown = [name for name in tables if name not in VERBS]
    if unknown:
        raise OptionError(path, f"'{unknown[0]}' is no verb", f"Its tables are named after verbs: {', '.join(VERBS)}")
    commands = getattr(context.command, "commands", {})
    context.default_map = {verb: _defaults(path, commands[verb], verb, table) for verb, table in tables.items()}


def _defaults(path: Path, command: Any, verb: str, table: Any) -> dict[str, Any]:
    """The options of one verb by the names of its parameters."""
    if not isinstance(table, dict):
        raise OptionError(path, f"'{verb}' is no table", f"Write [{verb}], and its options on the lines below")
    below = getattr(command, "commands", {})
    named = {option.lstrip("-"): parameter for parameter in command.params for option in parameter.opts}
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name in below:
            found[name] = _defaults(path, below[name], f"{verb}.{name}", value)
        elif name in named:
            parameter = named[name]
            several = getattr(parameter, "multiple", False) and not isinstance(value, list)
            found[parameter.name] = [value] if several else value
        else:
            raise OptionError(path, f"'{verb}' has no option '{key}'", f"`hsikit {verb.replace('.', ' ')} --help` lists them")
    return found


def _version(wanted: bool) -> None:
    if wanted:
        from hsikit.version import __version__

        print(f"hsikit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="TOML file of options: a table for each verb.", show_default=False)] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")] = False,
) -> None:
    """Spectral scenes from any sensor into georeferenced maps, and what each map is worth."""
    _config(context, config)


for _verb in VERBS:
    import_module(f".{_verb.replace('-', '_')}", __package__).add_to(app)


def _config_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--config FILE` at the front: it belongs to all verbs, and a user may give it after one."""
    given = list(arguments)
    for place, word in enumerate(given):
        if word == "--":
            break
        if word == "--config" and place + 1 < len(given):
            return [word, given[place + 1], *given[:place], *given[place + 2 :]]
        if word.startswith("--config="):
            return [word, *given[:place], *given[place + 1 :]]
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; exits with 0, with 2 for the user's mistakes, with 1 for ours, with 130 when interrupted."""
    words = _config_first(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=words, prog_name="hsikit")
    except HsikitError as error:
        _fail(f"error: {_as_typed(error, words)}", error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # what typer makes of an interrupt, without a word
            tell(_interrupted(words))
        raise
    except KeyboardInterrupt:
        _fail(_interrupted(words), INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        _fail(f"internal error: {type(error).__name__}: {error} (this is our mistake; {DEBUG}=1 shows where)", 1)


def _as_typed(error: HsikitError, words: Sequence[str]) -> HsikitError:
    """The error with an option named as the user writes it: the library knows it as a keyword argument."""
    if not isinstance(error, OptionError) or not error.where.isidentifier():
        return error
    command: Any = typer.main.get_command(app)
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    option = f"--{error.where.replace('_', '-')}"
    if not any(option in parameter.opts for parameter in command.params):
        pairs = (word.partition("=")[0].replace("-", "_") for word in words if "=" in word)
        option = f"-p {error.where}" if any(name.endswith(error.where) for name in pairs) else error.where
    return type(error)(option, error.wrong, error.advice)


def _interrupted(words: Sequence[str]) -> str:
    verb = next((word for word in words if word in VERBS), "")
    return "interrupted; the same command resumes" if verb in RESUMING else "interrupted"


def _fail(message: str, code: int) -> Any:
    tell(" ".join(message.split()))
    sys.exit(code)
