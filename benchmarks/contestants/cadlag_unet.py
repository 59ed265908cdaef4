"""Networks, ours: `cadlag.nn.UNet`, one jitted step or pass, or `loop` of them in one compiled scan."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from cadlag.nn import UNet

from . import problem
from .jax_tools import denoising_race, pass_race


def prepare(options):
    channels, size = problem.IMAGES[options["images"]]
    settings = {"width": problem.UNET_WIDTH, "multipliers": problem.MULTIPLIERS, "blocks": problem.BLOCKS}
    net = UNet(channels, **settings, key=jr.key(0))
    shape = options["batch"], channels, size, size
    batch = jax.device_put(problem.noisy(np.random.default_rng(0), *shape))
    if options["task"] == "train":
        return denoising_race(net, batch, options)
    arrays, static = eqx.partition(net, eqx.is_inexact_array)

    def passes(arrays, x):
        net = eqx.combine(arrays, static)

        def again(x, _):
            return jax.vmap(net, in_axes=(None, 0))(jnp.float32(0.5), x), None

        return jax.lax.scan(again, x, None, length=options["loop"])[0] if "loop" in options else again(x, None)[0]

    return pass_race(passes, (arrays, batch[1]), options)
