"""A linear state-space layer, the authors' standalone PyTorch file from the folder of `--released`.

Its A and steps are fixed, and the Krylov matrix is kept from call to call; `recompute` throws it away, as learning
them would, though no gradient goes there.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from . import problem
from .torch_tools import contestant

SIZE = problem.STATE_SPACE
FILE = "state-spaces/src/models/sequence/ss/standalone/lssl.py"


def prepare(options):
    spec = importlib.util.spec_from_file_location("released_lssl_file", Path(options["released"]) / FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    layer = module.StateSpace(SIZE["features"], SIZE["order"])
    rng = np.random.default_rng(0)
    u = torch.from_numpy(rng.normal(size=(SIZE["length"], SIZE["batch"], SIZE["features"])).astype("float32"))

    def step():
        layer.zero_grad(set_to_none=True)
        if options.get("recompute"):
            layer.k = None
        loss = layer(u).square().mean()
        loss.backward()
        return loss

    return contestant(step, options)
