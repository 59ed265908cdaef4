"""Spectral density of a Hessian, PyHessian: one probe, twenty Lanczos steps."""

import itertools
from importlib.metadata import version

import torch
from pyhessian import hessian
from torch import nn

from .curvature_problem import CLASSES, STEPS, TASKS, data
from .torch_tools import versions


def eig(matrix, eigenvectors):
    """What PyTorch had under this name until version 1.9, and PyHessian still calls: real and imaginary columns."""
    values, vectors = torch.linalg.eig(matrix)
    return torch.stack([values.real, values.imag], dim=1), vectors.real


torch.eig = eig


def network(task):
    size = TASKS[task]
    if task == "mlp":
        sizes = (*size["input"], *size["widths"])
        layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.Tanh())]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], CLASSES))
    channels = (1, *size["channels"])
    pairs = itertools.pairwise(channels)
    layers = [m for a, b in pairs for m in (nn.Conv2d(a, b, 3, padding="same"), nn.Tanh())]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], CLASSES))


def prepare(options):
    torch.set_num_threads(options["threads"])
    torch.manual_seed(0)
    task = options["task"]
    pair = tuple(torch.from_numpy(a) for a in data(task))
    net, criterion = network(task), nn.CrossEntropyLoss()

    def step():
        return hessian(net, criterion, data=pair, cuda=False).density(iter=STEPS, n_v=1)

    values = step()[0][0]
    return {
        "step": step,
        "compile": None,
        "value": float(max(values)),
        "versions": {**versions(), "pyhessian": version("pyhessian")},
    }
