import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.train import fit, gradient, warmed_adam

from .problems import KEY, Pairs, model, squared


@pytest.mark.parametrize("steps", [1, 12, 60])
def test_steps_are_those_of_optax(steps):
    ours = warmed_adam(3e-3, steps, weight_decay=0.1)
    warm_up = max(1, steps // 20)
    rate = optax.warmup_cosine_decay_schedule(0.0, 3e-3, warm_up, max(steps, warm_up + 1))
    theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.1))
    start = {"a": jnp.arange(3.0) + 1}
    ends = []
    for optimiser in (ours, theirs):
        params, state = start, optimiser.init(start)
        for i in range(steps + 2):
            with jax.numpy_dtype_promotion("standard"):
                updates, state = optimiser.update({"a": jnp.sin(jnp.arange(3.0) + i)}, state, params)
                params = optax.apply_updates(params, updates)
        ends.append(params["a"])
    # optax takes its schedule in single precision.
    np.testing.assert_allclose(*ends, rtol=1e-7)
    assert not np.array_equal(ends[0], start["a"])


def test_other_rates_and_lengths_are_not_compiled_anew():
    traced = []

    def loss(unknowns, batch, key):
        traced.append(1)
        return squared(unknowns, batch, key)

    fit(gradient(loss, warmed_adam(1e-3, 50)), model(), Pairs(), steps=50, key=KEY)
    assert traced
    traced.clear()
    fit(gradient(loss, warmed_adam(1e-2, 100)), model(), Pairs(), steps=100, key=KEY)
    assert not traced
