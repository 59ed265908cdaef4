"""Networks, ours: `cadlag.nn.ScoreMLP`, one jitted training step or `loop` of them in one `minimise`."""

import jax
import jax.random as jr
import numpy as np

from cadlag.nn import ScoreMLP

from . import problem
from .jax_tools import denoising_race


def prepare(options):
    net = ScoreMLP(problem.VECTOR_SIZE, width=problem.MLP_WIDTH, depth=problem.MLP_DEPTH, key=jr.key(0))
    batch = jax.device_put(problem.noisy(np.random.default_rng(0), problem.VECTORS, problem.VECTOR_SIZE))
    return denoising_race(net, batch, options)
