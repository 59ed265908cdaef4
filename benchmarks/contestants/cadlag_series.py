"""Series, ours: a training step of a neural CDE, latent ODE, latent SDE or SDE-GAN, as the estimators take it."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from cadlag.data import IrregularSeries
from cadlag.series import (
    GRU,
    Adversarial,
    CDECritic,
    LatentODE,
    LatentSDE,
    LinearControl,
    NeuralCDE,
    SDEGenerator,
    Variational,
)
from cadlag.series._network import build_network
from cadlag.series.classifier import cross_entropy
from cadlag.train import gradient

from . import problem
from .jax_tools import update_race

SIZE = problem.LAWS


def prepare(options):
    times, values, labels = problem.make_series(np.random.default_rng(0))
    times = np.broadcast_to(times, values.shape[:2])
    series = jax.device_put(IrregularSeries.from_arrays(times, values, labels=labels).without_ids())
    channels, key = values.shape[2], jr.key(0)
    encoder = partial(GRU, hidden_size=SIZE["hidden"])
    shared = {"hidden_size": SIZE["state"], "latent_size": SIZE["state"], "width": SIZE["width"]}
    if options["model"] == "cde":
        model = partial(NeuralCDE, hidden_size=problem.HIDDEN, control=LinearControl())
        network = build_network(model, series, problem.CLASSES, plain=True, key=key)
        update = gradient(cross_entropy, optax.adam(1e-3))
        return update_race(update, update.init(network, key), series, options)
    series = eqx.tree_at(lambda s: s.labels, series, None)
    series = eqx.tree_at(lambda s: s.values, series, jnp.asarray(series.values))
    if options["model"] == "gan":
        law = SDEGenerator(channels, hidden_size=SIZE["state"], noise_size=SIZE["noise"], latent_size=SIZE["state"],
                           width=SIZE["width"], key=key)  # fmt: skip
        critic = partial(CDECritic, hidden_size=SIZE["state"], width=SIZE["width"])
        objective = Adversarial(critic=critic)
    elif options["model"] == "ode":
        law, objective = LatentODE(channels, depth=1, encoder=encoder, **shared, key=key), Variational()
    else:
        law, objective = LatentSDE(channels, encoder=encoder, **shared, key=key), Variational()
    update = objective.update(1e-3, 1000)
    return update_race(update, update.init(objective.unknowns(law, key=key), key), series, options)
