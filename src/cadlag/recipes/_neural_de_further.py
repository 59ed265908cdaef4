"""What `neural-de` measures from `standard` on: a flow, a formula, an equilibrium layer, adjoints."""

import functools
import time
from typing import Any


def flow(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Mean log-density of held-out points of two moons, above that of a fitted Gaussian."""
    import numpy as np
    from scipy.stats import multivariate_normal
    from sklearn.datasets import make_moons

    from cadlag.generate import ContinuousFlow, concat_squash

    train, test = (make_moons(2000, noise=0.1, random_state=10 * seed + i)[0] for i in range(2))
    size = settings["flow"]
    start = time.perf_counter()
    network = functools.partial(concat_squash, width=size["width"])
    made = ContinuousFlow(network, steps=size["steps"], seed=seed).fit(train)
    gaussian = multivariate_normal(train.mean(axis=0), np.cov(train.T)).logpdf(test).mean()
    return {"gain": made.score(test) - float(gaussian), "seconds": time.perf_counter() - start}


def adjoints(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Gradients of a neural SDE's path by every adjoint: error against storing, memory, and how it grows."""
    import jax
    import jax.numpy as jnp

    from cadlag.solve import Checkpointed, Direct, Reversible

    few = settings["adjoint_steps"]
    kinds = {"direct": Direct(), "checkpointed": Checkpointed(), "reversible": Reversible()}
    rows: dict[str, Any] = {}
    exact: Any = None
    for name, adjoint in kinds.items():
        (gradient, bytes_few, seconds), (_, bytes_many, _) = (_gradient(adjoint, n, seed) for n in (few, 10 * few))
        exact = gradient if exact is None else exact
        size = jnp.sqrt(sum(jnp.sum(x**2) for x in exact))
        away = jnp.sqrt(sum(jnp.sum((a - b) ** 2) for a, b in zip(gradient, exact, strict=True)))
        rows[name] = {"error": float(away / size), "bytes": bytes_few, "growth": bytes_many / max(bytes_few, 1),
                      "ms": 1000 * seconds}  # fmt: skip
    found = {"rows": rows, "devices": jax.device_count()}
    return found | {"reversible_error": rows["reversible"]["error"], "reversible_growth": rows["reversible"]["growth"]}


def _gradient(adjoint: Any, steps: int, seed: int) -> tuple[list[Any], int, float]:
    """Leaves of the gradient, temporary bytes of the compiled program, seconds of a call."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from cadlag.series import SDEGenerator
    from cadlag.solve import ReversibleHeun

    # Two output times: nothing but the adjoint keeps states.
    law = SDEGenerator(1, steps=steps, stepper=ReversibleHeun(), adjoint=adjoint, key=jax.random.key(seed))
    weights, rest = eqx.partition(law, eqx.is_inexact_array)
    ends = jnp.array([0.0, 1.0])

    def loss(w: Any, key: Any) -> Any:
        one = eqx.combine(w, rest)
        return jnp.mean(jax.vmap(lambda k: one.sample(ends, key=k)[-1] ** 2)(jax.random.split(key, 32)))

    compiled = jax.jit(jax.grad(loss)).lower(weights, jax.random.key(1)).compile()
    jax.block_until_ready(compiled(weights, jax.random.key(1)))
    start = time.perf_counter()
    gradient = jax.block_until_ready(compiled(weights, jax.random.key(1)))
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    return jax.tree.leaves(gradient), int(memory.temp_size_in_bytes), seconds
