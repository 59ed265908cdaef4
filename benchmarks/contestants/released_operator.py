"""Operators, released PyTorch code of MgNO, SineNet and PDEArena, from checkouts below the folder of `--released`.

A model's file is loaded alone, with what it imports and does not need replaced by empty modules, so that packages for
plots and data need not be there.
"""

import importlib.util
import sys
import types
from pathlib import Path

import torch

from . import problem
from .torch_tools import operator_race

FILES = {
    "mgno": "MgNO/models.py",
    "sinenet": "AIRS/OpenPDE/SineNet/pdearena/pdearena/modules/sinenet_dual.py",
    "unet": "pdearena/pdearena/modules/twod_unet.py",
}


def load(folder, model):
    path = Path(folder) / FILES[model]
    if model == "mgno":
        sys.modules["torchinfo"] = types.ModuleType("torchinfo")
        sys.modules["torchinfo"].summary = None
        sys.modules["utilities3"] = types.ModuleType("utilities3")
        sys.modules["utilities3"].count_params = None
    package = types.ModuleType("released")
    package.__path__ = [str(path.parent)]
    sys.modules["released"] = package
    spec = importlib.util.spec_from_file_location(f"released.{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network(module, name):
    size = problem.OPERATORS[name]
    if name == "mgno":
        return module.MgNO_DC(size["layers"], size["width"], size["channels"], 1, [list(s) for s in size["sweeps"]])
    if name == "sinenet":
        return module.sinenet(size["channels"], 0, size["out"], 0, 1, 1, size["width"], "circular",
                              num_waves=size["waves"], mult=size["growth"])  # fmt: skip
    return module.Unet(size["channels"], 0, size["out"], 0, 1, 1, size["width"], "gelu", norm=True,
                       ch_mults=(1, 2, 2), is_attn=(False,) * 3, n_blocks=size["blocks"])  # fmt: skip


def prepare(options):
    torch.manual_seed(0)
    name = options["model"]
    net = network(load(options["released"], name), name)
    # SineNet and PDEArena take (batch, time, channels, *space).
    data = problem.fields(name) if name == "mgno" else [a[:, None] for a in problem.fields(name)]
    return operator_race(net, data, options)
