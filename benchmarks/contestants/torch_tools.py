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


def operator_race(net, data, options):
    """A contestant whose repetition is one training step by Adam, or one pass without gradient, of a batch."""
    x, y = (torch.from_numpy(a) for a in data)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)

    def train():
        optimiser.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimiser.step()
        return loss

    def forward():
        with torch.inference_mode():
            return net(x).square().mean()

    return contestant(train if options["task"] == "train" else forward, options)


def versions():
    """Versions of what is installed."""
    found = {}
    for name in ("torch", "torchsde", "torchcde", "neuraloperator"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
