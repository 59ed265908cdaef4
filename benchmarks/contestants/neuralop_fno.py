"""Operators, neuraloperator's FNO: with our layers (no perceptron beside the spectral layer), or as it comes."""

import torch
from neuralop.models import FNO

from . import problem
from .torch_tools import operator_race


def prepare(options):
    torch.manual_seed(0)
    size = problem.OPERATORS["fno"]
    same = {} if options.get("defaults") else {"use_channel_mlp": False}
    # It counts modes on both sides of zero; lifting and projection are twice as wide as the layers, as ours are here.
    net = FNO(
        n_modes=(2 * size["modes"],) * 2,
        in_channels=size["channels"],
        out_channels=size["out"],
        hidden_channels=size["width"],
        n_layers=size["layers"],
        **same,
    )
    return operator_race(net, problem.fields("fno"), options)
