"""Threads, versions and the absence of a compiler: shared by the PyTorch contestants."""

from importlib.metadata import version

import torch


def contestant(step, options):
    """What `prepare` returns; `step()` gives the loss as a tensor."""
    torch.set_num_threads(options["threads"])
    return {
        "step": step,
        "compile": None,
        "value": float(step().detach()),
        "versions": {name: version(name) for name in ("torch", "torchsde", "torchcde")},
    }
