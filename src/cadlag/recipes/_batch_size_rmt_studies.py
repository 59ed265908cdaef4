"""What `batch-size-rmt` measures: curvature of batches, stable rates, and rates that set themselves."""

import functools
from typing import Any


def logistic(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """The excess of a batch's largest eigenvalue times the batch, over the two predictions of it."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.lens import batch_curvature

    n, p = settings["logistic"]
    rng = np.random.default_rng(seed)
    # The features' mean is the top eigenvector.
    x = rng.normal(size=(n, p)) + 2.0 / p**0.5
    y = np.sign(x @ rng.normal(size=p) + rng.normal(size=n))
    w = jnp.asarray(0.5 * rng.normal(size=p) / p**0.5, float)
    data = (jnp.asarray(x, float), jnp.asarray(y, float))

    def loss(w: Any, example: Any) -> Any:
        return jax.nn.softplus(-example[1] * jnp.vdot(w, example[0]))

    found = batch_curvature(
        loss, w, data, batches=settings["batches"], draws=settings["draws"], steps=30, batch_size=500,
        key=jax.random.key(seed),
    )  # fmt: skip
    mean = float(found.excess.mean())
    return {
        "batches": [int(b) for b in found.batches],
        "excess": [float(c) for c in found.excess],
        "largest": found.largest,
        "spread": float(np.abs(found.excess / mean - 1).max()),
        "directional": found.noise / found.largest / mean,
        "isotropic": found.isotropic / found.largest / mean,
    }


def linear_rates(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """The largest stable rate of SGD on linear regression by batch size, against 2/λ'(b) from Pσ² in closed form."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from cadlag.lens import critical_batch, largest_rate
    from cadlag.train import gradient, minimise

    d, runs = settings["dimension"], settings["runs"]
    eigenvalues = np.r_[2.0, np.full(d - 1, 0.1)]
    root = jnp.asarray(np.sqrt(eigenvalues))
    rates = np.geomspace(*settings["rates"])

    @functools.partial(jax.jit, static_argnums=1)
    def ends(key: Any, batch: int) -> Any:
        def one(rate: Any, key: Any) -> Any:
            # The error of the weights in the targets' place: the truth is zero, without noise.
            update = gradient(lambda w, x, k: (jnp.mean((x @ w) ** 2) / 2, {}), optax.sgd(rate))
            state = update.init(jnp.ones(d) / d**0.5, key)
            state, _ = minimise(update, state, _Gaussian(root, batch), settings["steps"], key=key)
            return jnp.sum(root**2 * state.unknowns**2) / jnp.mean(root**2)

        keys = jax.random.split(key, runs)
        return jax.lax.map(lambda r: jnp.mean(jax.vmap(lambda k: one(r, k))(keys)), jnp.asarray(rates))

    stable = {}
    for batch in settings["linear_batches"]:
        below = np.asarray(ends(jax.random.key(seed), batch)) < 1
        stable[batch] = float(rates[below][-1]) if below.any() else float("nan")
    # Gaussian inputs of covariance H: E|(h - H) v|² = λ tr H + λ², Var vᵀ h v = 2 λ², and Pσ² is their difference.
    spike, noise = 2.0, 2.0 * (eigenvalues.sum() - 2.0)
    predicted = {b: float(largest_rate(b, spike, noise)) for b in stable}
    small = settings["linear_batches"][:3]
    slope = np.polyfit(np.log(small), np.log([stable[b] for b in small]), 1)[0]
    return {
        "stable": {str(b): r for b, r in stable.items()},
        "predicted": {str(b): r for b, r in predicted.items()},
        "slope": float(slope),
        "saturated": stable[settings["linear_batches"][-1]] / (2 / spike),
        "factor": float(max(abs(np.log(stable[b] / predicted[b])) for b in stable)),
        "critical": float(critical_batch(spike, noise)),
    }


class _Gaussian:
    """Batches of fresh inputs."""

    def __init__(self, root: Any, batch: int):
        self.root, self.batch = root, batch

    def init(self, key: Any) -> None:
        """No state."""

    def draw(self, state: None, train_state: Any, key: Any) -> Any:
        """Gaussian inputs of the given covariance."""
        import jax

        return state, self.root[None] * jax.random.normal(key, (self.batch, len(self.root)), self.root.dtype)


@functools.cache
def digits(seed: int) -> Any:
    """Training, validation and test part: pixels in [-1, 1] and labels."""
    import jax.numpy as jnp
    import numpy as np

    from cadlag.data import digits_split

    train, test = digits_split(seed=seed)
    (x, y), (a, b) = ((np.asarray(s.values).reshape(len(s.values), -1), np.asarray(s.labels)) for s in (train, test))
    cut = 1200
    pairs = ((x[:cut], y[:cut]), (x[cut:], y[cut:]), (a, b))
    return tuple((jnp.asarray(u, float), jnp.asarray(v)) for u, v in pairs)


def network(key: Any) -> Any:
    """64-64-10 with tanh."""
    import jax.numpy as jnp

    from cadlag.nn import MLP

    return MLP(64, 10, 64, 1, activation=jnp.tanh, key=key)


def cross_entropy(net: Any, batch: Any, key: Any) -> Any:
    """Mean over a batch of digits."""
    import jax
    import jax.numpy as jnp

    logits = jax.vmap(net)(batch[0])
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch[1][:, None], axis=1)), {}


def accuracy(net: Any, part: Any) -> Any:
    """The share of right digits."""
    import jax
    import jax.numpy as jnp

    return jnp.mean((jnp.argmax(jax.vmap(net)(part[0]), axis=1).astype(part[1].dtype) == part[1]).astype(float))


def digits_rates(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """The largest rates of SGD and Adam whose full loss after some steps is below its start, by batch size."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from cadlag.data import Batches
    from cadlag.lens import batch_curvature
    from cadlag.train import gradient, minimise

    train = digits(seed)[0]
    grids = {"sgd": np.geomspace(0.02, 20, settings["grid"]), "adam": np.geomspace(3e-4, 3, settings["grid"])}
    makers: dict[str, Any] = {"sgd": optax.sgd, "adam": optax.adam}
    found: dict[str, Any] = {}
    for name, grid in grids.items():

        @functools.partial(jax.jit, static_argnums=1)
        def ends(rates: Any, batch: int, make: Any = makers[name]) -> Any:
            def one(rate: Any) -> Any:
                update = gradient(cross_entropy, make(rate))
                state = update.init(network(jax.random.key(seed)), jax.random.key(seed))
                state, _ = minimise(update, state, Batches(train, batch), 300, key=jax.random.key(seed))
                return cross_entropy(state.unknowns, train, None)[0]

            return jax.vmap(one)(rates)

        start = float(cross_entropy(network(jax.random.key(seed)), train, None)[0])
        rows = {}
        for batch in settings["digit_batches"]:
            below = np.asarray(ends(jnp.asarray(grid, float), batch)) < start
            rows[str(batch)] = float(grid[below][-1]) if below.any() else float("nan")
        logs = np.log([[float(b), r] for b, r in rows.items()])
        steep = np.diff(logs[:, 1]) / np.diff(logs[:, 0])
        found[name] = {"rates": rows, "slope": float(np.polyfit(*logs.T, 1)[0]), "steepest": float(steep.max())}
    net = network(jax.random.key(seed))
    one = lambda net, e: cross_entropy(net, (e[0][None], e[1][None]), None)[0]  # noqa: E731
    curved = batch_curvature(one, net, train, batches=(8, 32, 128), draws=8, batch_size=200, key=jax.random.key(seed))
    found["curvature"] = {
        "largest": curved.largest, "critical": curved.critical, "noise": curved.noise, "isotropic": curved.isotropic,
        "measured": [float(m) for m in curved.measured], "predicted": [float(m) for m in curved.predicted],
    }  # fmt: skip
    return found


def learner(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Test accuracy by batch size: of rates from curvature, or of the sweep's rate of best validation."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from cadlag.data import Batches
    from cadlag.lens import curvature_rate
    from cadlag.train import gradient, minimise

    train, held, test = digits(seed)
    makers = {
        "learner": lambda rate: curvature_rate(every=20, steps=10, bounds=(1e-3, 5.0)),
        "learner-momentum": lambda rate: curvature_rate(every=20, steps=10, momentum=True, bounds=(1e-3, 5.0)),
        "sweep": optax.sgd,
    }
    rates = np.geomspace(0.01, 3.0, 7) if arm == "sweep" else np.ones(1)

    @functools.partial(jax.jit, static_argnums=(1, 2))
    def scores(rates: Any, batch: int, steps: int) -> Any:
        def one(rate: Any) -> Any:
            update = gradient(cross_entropy, makers[arm](rate))
            state = update.init(network(jax.random.key(seed)), jax.random.key(seed))
            state, info = minimise(update, state, Batches(train, batch), steps, key=jax.random.key(seed))
            net = state.unknowns
            last = getattr(state.opt_state, "rate", rate)
            return accuracy(net, held), accuracy(net, test), info["loss"][-1], last

        return jax.vmap(one)(rates)

    found = {}
    for batch in settings["learner_batches"]:
        steps = settings["epochs"] * (len(train[1]) // batch)
        validation, tested, loss, last = (np.asarray(a) for a in scores(jnp.asarray(rates, float), batch, steps))
        best = int(np.argmax(np.nan_to_num(validation, nan=-1.0)))
        found[str(batch)] = {"accuracy": float(tested[best]), "rate": float(last[best]), "loss": float(loss[best])}
    return found
