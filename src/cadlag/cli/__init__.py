"""The command `cadlag`."""

from ._main import main as main
