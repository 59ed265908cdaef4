"""What `deep-kernel-machine` measures: closed forms, likelihoods, the time of a pass."""

import math
import time
from typing import Any


def exact(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Distance to the closed form, to the NNGP, and alignment by nu, on some points of diabetes."""
    import jax.numpy as jnp
    import numpy as np
    from sklearn.datasets import load_diabetes

    from cadlag.kernels import Identity
    from cadlag.limits import alignment, arc_cosine_kernels, learn_grams, linear_deep_kernel

    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=(4, 6)) for _ in range(2))
    g0, gy = jnp.asarray(a @ a.T / 4), jnp.asarray(b @ b.T / 4)
    found = learn_grams(g0, jnp.linalg.cholesky(gy) * 2.0, (Identity(),) * 3, nu=4.0, noise=0.0)
    pairs = zip(found.grams, linear_deep_kernel(g0, gy, 2), strict=True)
    linear = max(float(jnp.linalg.norm(g - h) / jnp.linalg.norm(h)) for g, h in pairs)
    x, y = load_diabetes(return_X_y=True)
    rows = rng.permutation(len(x))[: settings["points"]]
    rows = rows[np.argsort(y[rows])]
    x, y = (jnp.asarray((v - v.mean(0)) / v.std(0)) for v in (x[rows], y[rows]))
    g0, kernels, target = x @ x.T / x.shape[1], arc_cosine_kernels(settings["layers"]), y[:, None] * y[None]
    learn = lambda nu: learn_grams(g0, y[:, None], kernels, nu=nu, noise=settings["noise"], steps=500)  # noqa: E731
    ends = {str(nu): learn(nu).grams[-1] for nu in settings["alignment_nus"]}
    held = learn(1e6).grams[-1]
    return {
        "linear": linear,
        "nngp": float(jnp.max(jnp.abs(held - _nngp(kernels, g0)))),
        "alignment": {nu: float(alignment(g, target)) for nu, g in ends.items()},
        "grams": {nu: _grey(ends[nu]) for nu in ("1000.0", "1.0", "0.1")},
    }


def _nngp(kernels: Any, g: Any) -> Any:
    """The covariance after all kernels but the last, by the recursion of infinite width."""
    import jax.numpy as jnp

    from cadlag.limits import GramTriple, through

    for i, kernel in enumerate(kernels[:-1]):
        g = through(kernel, GramTriple(g, g, jnp.diagonal(g), gaussian=i > 0)).ii
    return g


def _grey(g: Any) -> list:
    """Correlations."""
    import jax.numpy as jnp

    d = jnp.sqrt(jnp.diagonal(g))
    return (g / (d[:, None] * d[None])).round(2).tolist()


def task_data(task: str, settings: dict[str, Any], seed: int) -> Any:
    """(x, y) to train on, to choose nu by, and to test on."""
    import numpy as np
    from sklearn.datasets import load_diabetes, make_friedman1

    rng = np.random.default_rng(seed)
    sizes = [settings[part] for part in ("train", "validation", "test")]
    if task == "diabetes":
        x, y = load_diabetes(return_X_y=True)
        sizes = [240, 60, 142]
    elif task == "friedman":
        x, y = make_friedman1(sum(sizes), n_features=10, noise=1.0, random_state=seed)
    else:
        x = rng.normal(size=(sum(sizes), 10))
        y = np.tanh(2 * x[:, 0]) + 0.1 * rng.normal(size=len(x))
    order = rng.permutation(len(x))
    cuts = np.cumsum(sizes)
    return [(x[i], y[i]) for i in (order[: cuts[0]], order[cuts[0] : cuts[1]], order[cuts[1] : cuts[2]])]


def regression(arm: str, task: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Likelihood and error on test data; all train on the same part, ours chooses nu on another."""
    import numpy as np

    train, held, test = task_data(task, settings, seed)
    start = time.perf_counter()
    if arm == "dkm":
        models = {nu: _machine(nu, settings, seed).fit(*train) for nu in settings["nus"]}
        scores = {nu: float(np.mean(model.log_prob(*held))) for nu, model in models.items()}
        nu = max(scores, key=scores.__getitem__)
        model, extra = models[nu], {"nu": nu, "validation": scores[nu]}
    else:
        model, extra = _baseline(arm, settings, seed).fit(*train), {}
    spent = time.perf_counter() - start
    rmse = np.sqrt(np.mean((model.predict(test[0]) - test[1]) ** 2))
    return {"log_prob": float(np.mean(model.log_prob(*test))), "rmse": float(rmse), "seconds": spent, **extra}


def _machine(nu: float, settings: dict[str, Any], seed: int, **changes: Any) -> Any:
    from cadlag.limits import DeepKernelMachineRegressor

    return DeepKernelMachineRegressor(
        nu=nu, **({"layers": settings["layers"]} | changes), inducing=settings["inducing"], steps=settings["steps"],
        batch_size=settings["batch"], learning_rate=settings["learning_rate"], noise=settings["noise"], seed=seed,
    )  # fmt: skip


def _baseline(arm: str, settings: dict[str, Any], seed: int) -> Any:
    import jax.numpy as jnp

    from cadlag.kernels import Dense, Serial, Sine
    from cadlag.limits import GaussianProcessRegressor

    if arm == "ard-gp":
        return GaussianProcessRegressor(noise=settings["noise"])
    if arm == "nngp":
        return _machine(math.inf, settings, seed)
    # exp(-R) of Gram matrices: sin and cos together see differences alone; weights are 1 / length² and the variance.
    squared = Serial(Dense(jnp.asarray(1.0)), Sine(1.0, math.pi / 4), Dense(jnp.asarray(2**0.5)))
    return _machine(math.inf, settings, seed, layers=0, kernels=(squared,))


def cost(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Seconds of one pass over n points, compiled, and the slope of their logarithms."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from cadlag.data.sources import Batches
    from cadlag.limits import GaussianLikelihood, arc_cosine_kernels, deep_kernel_machine
    from cadlag.limits.deep_kernel import objective_loss
    from cadlag.train import gradient, minimise

    rng = np.random.default_rng(seed)
    kernels, likelihood = arc_cosine_kernels(settings["layers"]), GaussianLikelihood(jnp.log(jnp.asarray(0.1)))
    seconds = {}
    for n in settings["counts"]:
        x = jnp.asarray(rng.normal(size=(n, 10)))
        machine = deep_kernel_machine(kernels, x[: settings["inducing"]], 1, likelihood, nu=1.0)
        update, source = gradient(objective_loss(n), optax.adam(1e-3)), Batches((x, x[:, :1]), settings["batch"])
        state, steps = update.init(machine, jax.random.key(seed)), n // settings["batch"]
        run = _jitted(lambda s, u=update, b=source, k=steps: minimise(u, s, b, k, key=jax.random.key(seed))[0])
        jax.block_until_ready(jax.tree.leaves(run(state))[0])
        start = time.perf_counter()
        jax.block_until_ready(jax.tree.leaves(run(state))[0])
        seconds[str(n)] = time.perf_counter() - start
    slope = np.polyfit(np.log([int(n) for n in seconds]), np.log(list(seconds.values())), 1)[0]
    return {"seconds": seconds, "slope": float(slope)}


def _jitted(function: Any) -> Any:
    import equinox as eqx

    return eqx.filter_jit(function)


def digits(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Accuracy and likelihood on digits; nu = 1."""
    import numpy as np

    from cadlag.data import digits_split
    from cadlag.limits import DeepKernelMachineClassifier

    (x, y), (a, b) = (
        (np.asarray(s.values).reshape(len(s.values), -1), np.asarray(s.labels)) for s in digits_split(seed=seed)
    )
    nu = 1.0 if arm == "digits-dkm" else math.inf
    model = DeepKernelMachineClassifier(nu=nu, inducing=100, steps=settings["steps"], seed=seed).fit(x, y)
    p = model.predict_proba(a)
    nll = -np.mean(np.log(p[np.arange(len(b)), b]))
    return {"accuracy": float(np.mean(np.argmax(p, 1) == b)), "nll": float(nll)}
