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

    train, test = (np.asarray(make_moons(2000, noise=0.1, random_state=10 * seed + i)[0]) for i in range(2))
    spread: Any = np.cov(train.T)
    size = settings["flow"]
    start = time.perf_counter()
    network = functools.partial(concat_squash, width=size["width"])
    made = ContinuousFlow(network, steps=size["steps"], seed=seed).fit(train)
    gaussian = multivariate_normal(train.mean(axis=0), spread).logpdf(test).mean()
    return {"gain": made.score(test) - float(gaussian), "seconds": time.perf_counter() - start}


def symbolic(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """y' = (y2/(1 + y2), -y1/(1 + y1)): a neural ODE learnt from its paths, its field read as formulas."""
    import jax
    import jax.numpy as jnp

    from cadlag.equations import symbolic_regression

    start = time.perf_counter()
    size = settings["symbolic"]
    key = jax.random.key(seed)
    states, field = _learnt_field(size, key)
    slopes = jax.vmap(lambda y: field(0.0, y, None))(states)
    laws = [
        symbolic_regression(states, slopes[:, i], key=jax.random.fold_in(key, i), rounds=size["rounds"])
        .pick()
        .rounded(2)
        for i in range(2)
    ]
    points = jax.random.uniform(jax.random.fold_in(key, 9), (1000, 2), minval=-0.3, maxval=0.5)
    found = jnp.stack([jax.vmap(law)(points) for law in laws], axis=1)
    error = float(jnp.max(jnp.abs(found - jax.vmap(_truth)(points))))
    formulas = "; ".join(map(str, laws))
    return {"error": error, "formulas": formulas, "seconds": time.perf_counter() - start}


def _truth(y: Any) -> Any:
    import jax.numpy as jnp

    return jnp.stack([y[1] / (1 + y[1]), -y[0] / (1 + y[0])])


def _learnt_field(size: dict[str, Any], key: Any) -> tuple[Any, Any]:
    """States of the training paths, and the field of a neural ODE that was trained on pieces of them."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from cadlag.data import Batches
    from cadlag.nn import MLP
    from cadlag.series.latent_ode import LatentField
    from cadlag.solve import ODE, solve
    from cadlag.train import fit, gradient

    k1, k2, k3, k4 = jax.random.split(key, 4)
    times = jnp.linspace(0.0, 10.0, 101)
    starts = jax.random.uniform(k1, (size["paths"], 2), minval=-0.6, maxval=1.0)
    truth = ODE(lambda t, y, args: _truth(y))
    paths = jax.jit(jax.vmap(lambda y: solve(truth, y, times, steps=4).ys))(starts)
    pieces = np.asarray(paths[:, :100].reshape(-1, 10, 2))

    def loss(field: Any, batch: Any, key: Any) -> Any:
        run = lambda y: solve(ODE(field), y, times[:10], steps=2, throw=False).ys  # noqa: E731
        return jnp.mean((jax.vmap(run)(batch[:, 0]) - batch) ** 2), {}

    field = LatentField(MLP(2, 2, 64, 2, activation=jax.nn.softplus, key=k2), jnp.ones(()))
    update = gradient(loss, optax.adam(optax.cosine_decay_schedule(3e-3, size["steps"])))
    made = fit(update, field, Batches(pieces, 64), steps=size["steps"], key=k3).state.unknowns
    states = paths.reshape(-1, 2)
    return states[jax.random.permutation(k4, len(states))[: size["points"]]], eqx.filter_jit(made)


def equilibrium(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Accuracy on digits of features at which a contracting layer comes to rest, and how long that takes."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from cadlag.data import Batches, digits_split
    from cadlag.nn import Equilibrium
    from cadlag.train import fit, gradient

    size = settings["equilibrium"]
    k1, k2, k3, k4 = jax.random.split(jax.random.key(seed), 4)

    class Cell(eqx.Module):
        state: eqx.nn.Linear
        image: eqx.nn.Linear

        def __call__(self, z: Any, x: Any) -> Any:
            return jnp.tanh(self.state(z) + self.image(x))

    def loss(net: Any, batch: Any, key: Any) -> Any:
        logits = jax.vmap(lambda x: net[1](net[0](x)))(batch[0])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch[1])), {}

    def contract(net: Any) -> Any:
        # Rows of the state's weights sum to 0.95 at most: there is one rest point.
        rows = lambda w: w * jnp.minimum(1.0, 0.95 / jnp.sum(jnp.abs(w), axis=1, keepdims=True))  # noqa: E731
        return eqx.tree_at(lambda n: n[0].cell.state.weight, net, replace_fn=rows)

    (x, y), (x_test, y_test) = (
        (jnp.asarray(np.asarray(s.values).reshape(-1, 64), float), jnp.asarray(s.labels))
        for s in digits_split(seed=seed)
    )
    start = time.perf_counter()
    cell = Cell(eqx.nn.Linear(size["width"], size["width"], key=k1), eqx.nn.Linear(64, size["width"], key=k2))
    net = contract((Equilibrium(cell, size["width"]), eqx.nn.Linear(size["width"], 10, key=k3)))
    update = gradient(loss, optax.adam(3e-3), project=contract)
    features, readout = fit(update, net, Batches((x, y), 64), steps=size["steps"], key=k4).state.unknowns
    found = eqx.filter_jit(eqx.filter_vmap(features.solve))(x_test)
    accuracy = jnp.mean(jnp.argmax(jax.vmap(readout)(found.value), axis=1) == y_test)
    evaluations = float(jnp.mean(found.stats["num_steps"]))
    return {"accuracy": float(accuracy), "evaluations": evaluations, "seconds": time.perf_counter() - start}


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
    memory: Any = compiled.memory_analysis()
    return jax.tree.leaves(gradient), int(memory.temp_size_in_bytes), seconds
