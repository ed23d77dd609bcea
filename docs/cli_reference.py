"""Fill `reference/cli.md` from the commands themselves: a hook of the site's build."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PLACE = "<!-- commands -->"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put every command's help in the place that is left for it."""
    return markdown.replace(PLACE, reference()) if page.file.src_uri == "reference/cli.md" else markdown


def reference() -> str:
    """The reference of all commands in Markdown."""
    return "\n\n".join(section(path, command) for path, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Each command with what is typed to run it, such as "smidgen data show"."""
    import typer

    from smidgen.cli import app

    def below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
        for name, child in getattr(command, "commands", {}).items():
            yield from below(f"{path} {name}", child)
        if not hasattr(command, "commands"):
            yield path, command

    yield from below("smidgen", typer.main.get_command(app))


def section(path: str, command: Any) -> str:
    """One command: what it does, its arguments and options, its examples."""
    lines = [f"## {path}", "", command.help or "", "", "| option | default | meaning |", "|---|---|---|"]
    lines += [row(parameter) for parameter in command.params if parameter.name != "help"]
    examples = [line for line in (command.epilog or "").splitlines() if line.startswith("smidgen ")]
    return "\n".join([*lines, "", "```", *examples, "```"] if examples else lines)


def row(parameter: Any) -> str:
    """One argument or option of a command as a row of its table."""
    names = [*parameter.opts, *parameter.secondary_opts]
    typed = names if parameter.param_type_name == "option" else [parameter.name.upper()]
    default = "" if parameter.default in (None, "", False, 0, Ellipsis) else f"`{parameter.default}`"
    meaning = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| {', '.join(f'`{name}`' for name in typed)} | {default} | {meaning} |"
