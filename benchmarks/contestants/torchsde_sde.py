"""Race 1, torchsde: its defaults, its best settings (an interval that is told the step), its adjoint."""

import torch
import torchsde

from . import problem
from .torch_tools import contestant

H = 1.0 / problem.STEPS


class NeuralSDE(torch.nn.Module):
    sde_type, noise_type = "ito", "diagonal"

    def __init__(self):
        super().__init__()
        self.drift, self.diffusion = mlp(), mlp()

    def f(self, t, y):
        return self.drift(y)

    def g(self, t, y):
        return self.diffusion(y)


def mlp():
    layers = torch.nn.Linear(problem.STATE, problem.WIDTH), torch.nn.Linear(problem.WIDTH, problem.STATE)
    return torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])


def prepare(options):
    torch.manual_seed(0)
    sde, y0, ts = NeuralSDE(), torch.randn(problem.BATCH, problem.STATE), torch.tensor([0.0, 1.0])
    integrate = torchsde.sdeint_adjoint if options.get("adjoint") else torchsde.sdeint

    def noise():
        if options.get("interval") is None:
            return None
        return torchsde.BrownianInterval(0.0, 1.0, tuple(y0.shape), dt=H, **options["interval"])

    def step():
        sde.zero_grad(set_to_none=True)
        loss = integrate(sde, y0, ts, bm=noise(), method="euler", dt=H)[-1].square().mean()
        loss.backward()
        return loss

    return contestant(step, options)
