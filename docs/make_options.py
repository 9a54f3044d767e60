"""Writes docs/options.md, the list of every verb's options, from the command line itself.

For whoever adds or changes an option: run `python docs/make_options.py`. `tests/test_docs.py` holds the page and the code together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("options.md")
SHARED = {
    "Reading the scene": "For files that say nothing, or the wrong thing.",
    "Labels": "How labels are read.",
    "The split": "How labels are split into training and test.",
    "The run": "How a scene is processed.",
}
"""Groups of options that several verbs share, in the order in which they are listed."""

HEAD = """# Options of every verb

Made from the command line by `python docs/make_options.py`; [Command line](command-line.md) shows the verbs at work.
Groups that several verbs share stand once, below the verbs.
"""


def verbs() -> Iterator[tuple[str, Any]]:
    """Every verb with its command; those of a group (`simulate scene`) by both words."""
    from hsikit_cli.main import app
    from typer.main import get_command

    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        below = getattr(command, "commands", None)
        yield from ((f"{name} {word}", inner) for word, inner in below.items()) if below else [(name, command)]


def group_of(parameter: Any) -> str:
    """The shared group of an option, or nothing."""
    panel = getattr(parameter, "rich_help_panel", None)
    return panel if panel in SHARED else ""


def usage(name: str, command: Any) -> str:
    """The verb with its arguments, and the options without which it does not run."""
    words = [f"hsikit {name}"]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            word = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
            words.append(word if parameter.required else f"[{word}]")
        elif parameter.required:
            words.append(f"{parameter.opts[0]} {parameter.name.upper()}")
    return " ".join(words)


def row(parameter: Any) -> str:
    """One line of a table: names, meaning, default."""
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    names += f" {parameter.metavar}" if parameter.metavar else ""
    shown = parameter.default not in (None, "", ()) and not isinstance(parameter.default, bool)
    default = f"`{parameter.default}`" if shown else ""
    if parameter.secondary_opts:
        default = f"`{(parameter.opts if parameter.default else parameter.secondary_opts)[0]}`"
    return f"| {names} | {parameter.help.replace('|', '/')} | {'required' if parameter.required else default} |"


def table(parameters: list[Any]) -> list[str]:
    """A table of options."""
    return ["| option | meaning | default |", "|---|---|---|", *map(row, parameters), ""] if parameters else []


def page() -> str:
    """The whole page."""
    lines, shared = [HEAD], {}
    for name, command in verbs():
        options = [parameter for parameter in command.params if parameter.param_type_name == "option" and parameter.name != "help"]
        groups = [group for group in SHARED if any(group_of(option) == group for option in options)]
        shared.update({(group_of(option), option.name): option for option in options if group_of(option)})
        lines += [f"## {name}", "", f"`{usage(name, command)}`", "", " ".join(command.help.split()), ""]
        lines += table([option for option in options if not group_of(option)])
        if groups:
            lines += ["Also: " + ", ".join(f"[{group}](#{group.lower().replace(' ', '-')})" for group in groups) + ".", ""]
    for group, line in SHARED.items():
        lines += [f"## {group}", "", line, "", *table([option for (owner, _), option in shared.items() if owner == group])]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
