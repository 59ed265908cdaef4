"""Entry point: parse, run the command, turn a user's error into one line."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from . import _commands
from ._arguments import (
    Command,
    DataArguments,
    FitArguments,
    ListArguments,
    PredictArguments,
    RunArguments,
    SampleArguments,
    SolveArguments,
    VerifyArguments,
)
from ._lens_arguments import LensArguments

_COMMANDS = {
    ListArguments: _commands.list_systems,
    RunArguments: _commands.run_recipe,
    VerifyArguments: _commands.verify,
    FitArguments: _commands.fit,
    PredictArguments: _commands.predict,
    SampleArguments: _commands.sample,
    SolveArguments: _commands.solve,
    DataArguments: _commands.data,
    LensArguments: _commands.lens,
}
_ABOUT = "Learn, solve and understand continuous dynamics, and find out which published claims hold."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code 0: well, 1: a claim fails, 2: could not run, 130: interrupted."""
    command = tyro.cli(
        Command,  # pyright: ignore[reportArgumentType]
        prog="cadlag",
        description=_ABOUT,
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes),
    )
    try:
        return _COMMANDS[type(command)](command)
    except (ValueError, TypeError, OSError) as error:
        return _refuse(command, error)
    except KeyboardInterrupt as error:
        print(f"\n{error}" if str(error) else "\nStopped.", file=sys.stderr)
        return 130


def _refuse(command: Any, error: Exception) -> int:
    if command.debug or os.environ.get("CADLAG_DEBUG"):
        raise error
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return 2
    print(f"cadlag: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
