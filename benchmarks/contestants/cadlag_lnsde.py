"""Race 2, ours: the network, the loss and the update that `SeriesClassifier` trains with.

One jitted step at a time, as the peers; with `loop` so many steps in one compiled loop, as `fit` trains.
"""

from functools import partial

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import optax

from cadlag.data import FullBatch, IrregularSeries
from cadlag.series import LNSDE
from cadlag.series._network import build_network
from cadlag.series.classifier import cross_entropy
from cadlag.train import gradient, minimise

from . import problem
from .jax_tools import compile_seconds, keys, versions


def looped(update, steps):
    return lambda state, series, key: minimise(update, state, FullBatch(series), steps, key=key)


def prepare(options):
    times, values, labels = problem.make_series(np.random.default_rng(0))
    times = np.broadcast_to(times, values.shape[:2])
    series = jax.device_put(IrregularSeries.from_arrays(times, values, labels=labels))
    model = partial(LNSDE, hidden_size=problem.HIDDEN, depth=problem.LAYERS)
    network = build_network(model, series, problem.CLASSES, key=jr.key(0))
    update = gradient(cross_entropy, optax.adam(1e-3))
    jitted = eqx.filter_jit(looped(update, options["loop"]) if "loop" in options else update.step)
    state, fresh = update.init(network, jr.key(1)), keys()
    seconds = compile_seconds(jitted, (state, series, jr.key(2)), options.get("compiles", 3))

    def step():
        nonlocal state
        state, info = jitted(state, series, next(fresh))
        return jax.block_until_ready(jax.tree.leaves((eqx.filter(state, eqx.is_array), info)))

    return {"step": step, "compile": seconds, "versions": versions()}
