"""How a command ends: its exit code, and every mistake of a person's in one line on stderr."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from repro.errors import ReproError, nearest

USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]  # click's, wherever this version of typer keeps it
INTERRUPTED = 130  # as a shell reports a process that Ctrl-C ended
CLOSED_PIPE = 141  # as a shell reports a process that wrote to a closed pipe


def status(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; a person's mistake is one line on stderr."""
    try:
        _run(app, list(arguments) or ["--help"])
        sys.stdout.flush()
    except typer.Exit as exit_:
        return exit_.exit_code
    except ReproError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return CLOSED_PIPE
    except OSError as error:
        if error.errno is None:
            raise
        return _complain(f"{error.filename or 'the disk'}: {error.strerror}", ReproError.exit_code)
    return 0


def _run(app: typer.Typer, arguments: list[str]) -> None:
    command = typer.main.get_group(app)
    verbs = command.commands
    if not arguments[0].startswith("-") and arguments[0] not in verbs:
        hint = nearest(arguments[0], verbs) or f" There are: {', '.join(verbs)}."
        raise ReproError(f"repro has no verb {arguments[0]!r}.{hint}")
    try:
        with command.make_context("repro", arguments) as context:
            command.invoke(context)
    except USAGE_ERROR as error:
        raise ReproError(_usage(error)) from None


def _usage(error: Any) -> str:
    """What click found wrong, in one line, with the nearest option."""
    verb = error.ctx.command_path if error.ctx else "repro"
    option = getattr(error, "option_name", None)
    if option and error.ctx:
        hint = nearest(option, [name for parameter in error.ctx.command.params for name in parameter.opts])
        return f"{verb} has no option {option}.{hint} `{verb} --help` lists them."
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{message}. `{verb} --help` says more."


def _complain(message: str, code: int) -> int:
    if message:  # or another process of the run has told it
        print(f"repro: {message}", file=sys.stderr)
    return code
