"""Threads, versions and the absence of a compiler: shared by the PyTorch contestants."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import torch


def contestant(step, options):
    """What `prepare` returns; `step()` gives the loss as a tensor."""
    torch.set_num_threads(options["threads"])
    return {
        "step": step,
        "compile": None,
        "value": float(step().detach()),
        "versions": versions(),
    }


def versions():
    """Versions of what is installed."""
    found = {}
    for name in ("torch", "torchsde", "torchcde"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
