"""Networks, PyTorch: the same score MLP, with `Adam` as it comes or fused."""

import math

import numpy as np
import torch
from torch import nn

from . import problem
from .torch_tools import contestant


class ScoreMLP(nn.Module):
    def __init__(self, size, width, depth, features):
        super().__init__()
        periods = np.geomspace(80.0, 2.0, features // 2)
        self.register_buffer("omega", torch.tensor(2 * math.pi / periods, dtype=torch.float32))
        self.level, self.modulation = nn.Linear(features, features), nn.Linear(features, 2 * depth * width)
        self.first, self.last = nn.Linear(size, width), nn.Linear(width, size)
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])

    def forward(self, level, x):
        phase = level[:, None] * self.omega
        e = nn.functional.silu(self.level(torch.cat([phase.cos(), phase.sin()], 1)))
        # One row for each example, or one for all of them in a step of sampling.
        both = self.modulation(e).view(e.shape[0], 2, len(self.layers), -1)
        scales, shifts = 1 + both[:, 0], both[:, 1]
        h = self.first(x)
        for i, layer in enumerate(self.layers):
            h = h + layer(nn.functional.silu(torch.addcmul(shifts[:, i], h, scales[:, i])))
        return self.last(nn.functional.silu(h))


def prepare(options):
    torch.manual_seed(0)
    net = ScoreMLP(problem.VECTOR_SIZE, problem.MLP_WIDTH, problem.MLP_DEPTH, problem.FEATURES)
    batch = problem.noisy(np.random.default_rng(0), problem.VECTORS, problem.VECTOR_SIZE)
    levels, x, noise = (torch.from_numpy(a) for a in batch)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=options.get("fused"))

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss = nn.functional.mse_loss(net(levels, x), noise)
        loss.backward()
        optimiser.step()
        return loss

    return contestant(step, options)
