"""Physics-informed training, DeepXDE on PyTorch: the step that `model.train` repeats, without its bookkeeping."""

import os

os.environ["DDE_BACKEND"] = "pytorch"

from importlib.metadata import version

import deepxde as dde
import numpy as np
import torch

from . import pinn_problem
from .torch_tools import contestant


def second(u, x, i):
    return dde.grad.hessian(u, x, i=i, j=i)


def burgers(x, u):
    return dde.grad.jacobian(u, x, j=0) + u * dde.grad.jacobian(u, x, j=1) - (0.01 / np.pi) * second(u, x, 1)


def allen_cahn(x, u):
    return dde.grad.jacobian(u, x, j=0) - 1e-4 * second(u, x, 1) + 5 * u**3 - 5 * u


def poisson(x, u):
    source = 10 * np.pi**2 * torch.prod(torch.sin(np.pi * x), dim=1, keepdim=True)
    return -sum(second(u, x, i) for i in range(x.shape[1])) - source


def prepare(options):
    torch.set_num_threads(options["threads"])
    points = pinn_problem.points(options)
    d = points.shape[1]
    residual = {"burgers": burgers, "allen-cahn": allen_cahn, "poisson": poisson}[options["equation"]]
    box = dde.geometry.Hypercube([-1.0] * d, [1.0] * d)
    data = dde.data.PDE(box, residual, [], num_domain=1, anchors=points)
    data.train_x_all = data.train_x = points
    net = dde.nn.FNN([d, *[pinn_problem.WIDTH] * pinn_problem.DEPTH, 1], "tanh", "Glorot normal")
    model = dde.Model(data, net)
    model.compile("adam", lr=pinn_problem.RATE, verbose=0)
    model.train_state.set_data_train(*data.train_next_batch())
    assert len(model.train_state.X_train) == len(points)

    def step():
        state = model.train_state
        model._train_step(state.X_train, state.y_train, state.train_aux_vars)
        return torch.zeros(())

    made = contestant(step, options)
    made["versions"]["deepxde"] = version("deepxde")
    return made
