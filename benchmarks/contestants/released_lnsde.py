"""Race 2, the released PyTorch code of Oh, Lim and Kim (2024), from a checkout given by `--released`.

Its model file is imported alone: `controldiffeq`, which it imports and never uses, is replaced by an empty
module, so that packages of other models need not be there. As released, the noise is left to torchsde;
`interval` hands it a Brownian interval that is told the step, its best setting.
"""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import torch
import torchcde
import torchsde

from . import problem
from .torch_tools import contestant

MODEL = "benchmark_classification/models_sde/neuralsde.py"


def load(folder):
    sys.modules["controldiffeq"] = types.ModuleType("controldiffeq")
    spec = importlib.util.spec_from_file_location("neuralsde", Path(folder) / MODEL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepare(options):
    torch.manual_seed(0)
    module, size = load(options["released"]), problem.HIDDEN
    field = module.Diffusion_model(problem.CHANNELS, size, size, problem.LAYERS, input_option=4, noise_option=17)
    model = module.NeuralSDE(field, problem.CHANNELS, size, problem.CLASSES)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    times, values, labels = problem.make_series(np.random.default_rng(0))
    clock = np.broadcast_to(times[None, :, None], (*values.shape[:2], 1))
    x = torch.from_numpy(np.concatenate([clock, values], axis=2))
    times, labels = torch.from_numpy(times), torch.from_numpy(labels)
    coefficients = torchcde.hermite_cubic_coefficients_with_backward_differences(x, times)
    last = torch.full((problem.SERIES,), problem.LENGTH - 1)
    gap = (times[1:] - times[:-1]).min().item()

    def noise():
        if options.get("interval") is None:
            return {}
        shape = problem.SERIES, size
        return {"bm": torchsde.BrownianInterval(times[0], times[-1], shape, dt=gap, **options["interval"])}

    def step():
        logits = model(times, (coefficients,), last, **noise())
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return loss

    return contestant(step, options)
