"""Sampling, diffusers: its multistep DPM-Solver++ of order 2 around the PyTorch networks of the other races."""

from importlib.metadata import version

import torch
from diffusers import DPMSolverMultistepScheduler

from . import problem, torch_mlp, torch_unet
from .torch_tools import contestant


def prepare(options):
    torch.manual_seed(0)
    if "images" in options:
        channels, size = problem.IMAGES[options["images"]]
        net = torch_unet.UNet(channels, problem.UNET_WIDTH, problem.MULTIPLIERS, problem.BLOCKS)
        shape = (options["batch"], channels, size, size)
    else:
        net = torch_mlp.ScoreMLP(problem.VECTOR_SIZE, problem.MLP_WIDTH, problem.MLP_DEPTH, problem.FEATURES)
        shape = (options["batch"], problem.VECTOR_SIZE)
    layout = {"memory_format": torch.channels_last} if options.get("channels_last") else {}
    net = net.to(**layout).eval()
    scheduler = DPMSolverMultistepScheduler(num_train_timesteps=1000, use_lu_lambdas=True)

    def draw():
        with torch.inference_mode():
            scheduler.set_timesteps(problem.SAMPLING_STEPS)
            x = torch.randn(shape)
            x = x.contiguous(**layout) if layout else x
            for t in scheduler.timesteps:
                x = scheduler.step(net(t.float()[None] / 125 - 4, x), t, x).prev_sample
            return x.square().mean()

    made = contestant(draw, options)
    made["versions"]["diffusers"] = version("diffusers")
    return made
