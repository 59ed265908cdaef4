"""Sampling, ours: `sample` with DPM-Solver++ of order 2, all steps in one compiled call."""

import equinox as eqx
import jax
import jax.random as jr

from cadlag.diffusion import VP, Denoiser, DPMSolver, Noise, sample
from cadlag.nn import ScoreMLP, UNet

from . import problem
from .jax_tools import compile_seconds, keys, versions


def prepare(options):
    if "images" in options:
        channels, size = problem.IMAGES[options["images"]]
        settings = {"width": problem.UNET_WIDTH, "multipliers": problem.MULTIPLIERS, "blocks": problem.BLOCKS}
        net, shape = UNet(channels, **settings, key=jr.key(0)), (channels, size, size)
    else:
        net = ScoreMLP(problem.VECTOR_SIZE, width=problem.MLP_WIDTH, depth=problem.MLP_DEPTH, key=jr.key(0))
        shape = (problem.VECTOR_SIZE,)
    denoiser = Denoiser(network=net, schedule=VP(), prediction=Noise())
    sampler = DPMSolver(problem.SAMPLING_STEPS)
    arrays, static = eqx.partition(denoiser, eqx.is_array)

    @jax.jit
    def draw(arrays, key):
        return sample(eqx.combine(arrays, static), shape, options["batch"], key=key, sampler=sampler)

    fresh = keys()
    seconds = compile_seconds(draw, (arrays, jr.key(0)), options.get("compiles", 3))
    return {
        "step": lambda: jax.block_until_ready(draw(arrays, next(fresh))),
        "compile": seconds,
        "versions": versions(),
    }
