"""What `ntk` measures on digits: kernel regression against its baselines, and early stopping with wrong labels."""

from typing import Any

from cadlag.recipes._ntk_studies import descend, network, shallow


def digits(train: int, test: int, seed: int) -> tuple[Any, Any, Any, Any]:
    """Images of norm sqrt(64) as rows, and labels, in two parts at random."""
    import jax.numpy as jnp
    import numpy as np
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    rows = np.asarray(pixels) / np.linalg.norm(pixels, axis=1, keepdims=True) * 8
    order = np.random.default_rng(seed).permutation(len(rows))
    a, b = order[:train], order[train : train + test]
    return jnp.asarray(rows[a]), np.asarray(labels)[a], jnp.asarray(rows[b]), np.asarray(labels)[b]


def accuracy(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """The share of right classes by regression on centred indicators."""
    x, y, z, truth = digits(settings["train"], settings["test"], seed)
    if arm in ("ntk", "nngp"):
        by_depth = {
            str(d): _regressed(lambda a, b, d=d: _deep(arm, d, a, b), settings["ridge"], x, y, z, truth)
            for d in settings["depths"]
        }
        return {"by_depth": by_depth, "accuracy": by_depth[str(settings["depth"])]}
    best = _tuned(arm, x, y)
    kernel, ridge = _baseline(arm, best)
    return {"setting": best, "accuracy": _regressed(kernel, ridge, x, y, z, truth)}


def _deep(arm: str, depth: int, a: Any, b: Any) -> Any:
    from cadlag.kernels import NNGP, NTK, Dense, ReLU, Serial

    hidden = [m for _ in range(depth) for m in (Dense(2**0.5, 0.05), ReLU())]
    kind = NTK if arm == "ntk" else NNGP
    return kind(Serial(*hidden, Dense(2**0.5, 0.05))).gram(a, b)


def _baseline(arm: str, setting: float) -> tuple[Any, float]:
    """A kernel of two sets of rows, and its ridge: the setting is the penalty of `ridge`, the length of `rbf`."""
    import jax.numpy as jnp

    from cadlag.linalg import squared_distances

    if arm == "ridge":
        return lambda a, b: 1 + jnp.matmul(a, (a if b is None else b).T), setting
    return lambda a, b: jnp.exp(-squared_distances(a, a if b is None else b) / (2 * setting**2)), 1e-6


def _tuned(arm: str, x: Any, y: Any) -> float:
    """The best setting on the last fifth of the training part; the test part is not seen."""
    cut = len(x) * 4 // 5
    choices = [10.0**k for k in range(-6, 2)] if arm == "ridge" else [0.5 * 2 ** (k / 2) for k in range(14)]
    scores = [
        _regressed(kernel, ridge, x[:cut], y[:cut], x[cut:], y[cut:])
        for kernel, ridge in (_baseline(arm, c) for c in choices)
    ]
    return choices[scores.index(max(scores))]


def _regressed(kernel: Any, ridge: float, x: Any, y: Any, z: Any, truth: Any) -> float:
    import jax.numpy as jnp
    import numpy as np

    from cadlag.linalg import safe_cholesky

    gram = kernel(x, None)
    added = ridge * jnp.mean(jnp.diagonal(gram)) * jnp.eye(len(gram), dtype=gram.dtype)
    weights = safe_cholesky(gram + added).solve(jnp.asarray(np.eye(10)[y] - 0.1))
    return float(np.mean(np.argmax(np.asarray(jnp.matmul(kernel(z, x), weights)), axis=1) == truth))


def early(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Odd against even, some training labels turned: test error by time, and residuals by component."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.kernels import network_kernels
    from cadlag.limits import tangent_dynamics

    x, y, z, truth = digits(settings["noisy"], settings["test"], seed)
    signs, clean = (jnp.asarray(2.0 * (a % 2) - 1)[:, None] for a in (y, truth))
    turned = np.random.default_rng(1000 + seed).random(len(signs)) < settings["wrong"]
    target = jnp.where(jnp.asarray(turned)[:, None], -signs, signs)
    theta, across = network_kernels(shallow(), x).ntk, network_kernels(shallow(), z, x).ntk
    # Half of the rate above which descent diverges.
    rate = 0.5 * float(tangent_dynamics(theta, target).largest_rate())
    dynamics = tangent_dynamics(theta, target, learning_rate=rate, discrete=True)
    model = network((64,), settings["noisy_width"], jax.random.key(seed))
    steps = settings["noisy_steps"]

    def watch(m: Any) -> tuple[Any, Any]:
        return jnp.mean((jax.vmap(m)(z) - clean) ** 2), jax.vmap(m)(x)

    _, (error, outputs) = jax.jit(lambda m: descend(m, x, target, rate, steps, watch))(model)
    f0, f0_test = jax.vmap(model)(x), jax.vmap(model)(z)
    times = np.unique(np.geomspace(1, steps, 40).astype(int) - 1).tolist()

    def predicted(t: float | int) -> float:
        return float(jnp.mean((dynamics.test(t, f0, f0_test, across) - clean) ** 2))

    late = [steps * 4**k for k in range(1, 8)]
    closed, after = [predicted(t) for t in times], [predicted(t) for t in (*late, float("inf"))]
    measured = [float(error[t]) for t in times]
    gap = float(np.max(np.abs(np.array(measured) - closed))) / (max(closed) - min(closed))
    return {
        "times": times,
        "late": late,
        "closed": closed,
        "after": after,
        "network": measured,
        "gain": after[-1] / min(*closed, *after),
        "curve_difference": gap,
        "component_error": _components(dynamics, f0 - target, outputs - target, steps),
    }


def _components(dynamics: Any, start: Any, residuals: Any, steps: int) -> float:
    """How far the first ten coefficients are from their prediction, at the learning time of the fifth."""
    import jax.numpy as jnp

    t = min(int(dynamics.learning_times()[4]), steps - 1)
    vectors = dynamics.vectors[:, :10]
    before, now = vectors.T @ start, vectors.T @ residuals[t]
    return float(jnp.linalg.norm(now - dynamics.decay(t)[:10, None] * before) / jnp.linalg.norm(before))
