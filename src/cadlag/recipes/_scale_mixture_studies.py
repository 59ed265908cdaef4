"""What `scale-mixture` measures: identities, regression with outliers, digits."""

from typing import Any


def identities(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Errors of identities, distances of wide networks to two laws, correlations of squares of draws."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from scipy import stats

    from cadlag.distributions import InverseGamma, MultivariateT

    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(20, 3)), rng.normal(size=(10, 3))
    y = np.sin(2 * x[:, :1]) + 0.3 * rng.normal(size=(20, 1))
    law = InverseGamma.of_degrees(settings["degrees"])
    outputs = _networks(settings, law, seed)
    # The distance that 1 % of samples of the law itself exceed (Smirnov's limit).
    limit = 1.628 / len(outputs) ** 0.5
    df = 12.0
    draws = np.asarray(
        jax.vmap(MultivariateT(jnp.zeros(2), jnp.eye(2), df).sample)(
            jax.random.split(jax.random.key(seed), settings["draws"])
        )
    )
    released = rng.standard_t(df, size=draws.shape)
    squares = [float(np.corrcoef(a.T**2)[0, 1]) for a in (draws, released)]
    return {
        **_identity(x, y, z, law),
        "student_distance": float(stats.kstest(outputs, stats.t(settings["degrees"]).cdf).statistic / limit),
        "gaussian_distance": float(stats.kstest(outputs, stats.norm(0, np.std(outputs)).cdf).statistic / limit),
        "joint": squares[0],
        "released": squares[1],
        "draws": {"one scale": draws[:400].round(3).tolist(), "a scale each": released[:400].round(3).tolist()},
    }


def _identity(x: Any, y: Any, z: Any, law: Any) -> dict[str, float]:
    """The closed form against quadrature over the scale, and what ten times the targets do."""
    import jax.numpy as jnp
    import numpy as np

    from cadlag.distributions import scale_posterior
    from cadlag.limits import condition, condition_scale_mixture

    kernel = network_kernel(2)
    x, y, z = (jnp.asarray(a) for a in (x, y, z))
    mixture = condition_scale_mixture(kernel, law, x, y, noise=0.1)
    gaussian = condition(kernel, x, y, noise=0.1)
    scale = scale_posterior(law, jnp.sum(y * gaussian.coefficients), y.size)
    expected = scale.mean * gaussian.variance(z)
    errors = [
        np.max(np.abs(a / b - 1)) for a, b in ((mixture.variance(z), expected), (mixture.mean(z), gaussian.mean(z)))
    ]
    larger = condition_scale_mixture(kernel, law, x, 10 * y, noise=0.1).variance(z)
    return {"identity": float(max(errors)), "reaction": float(np.mean(np.sqrt(larger / mixture.variance(z))))}


def _networks(settings: dict[str, Any], law: Any, seed: int) -> Any:
    """One output of each of many networks with one hidden layer of ReLU, in units in which the NNGP is 1."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def one(key: Any) -> Any:
        hidden, scale, last = jax.random.split(key, 3)
        z = jax.nn.relu(2**0.5 * jax.random.normal(hidden, (settings["width"],)))
        weights = jax.random.normal(last, z.shape)
        return jnp.sqrt(law.sample(scale) / settings["width"]) * jnp.sum(weights * z)

    keys = jax.random.split(jax.random.key(1000 + seed), settings["networks"])
    return np.asarray(jax.jit(lambda k: jax.lax.map(one, k, batch_size=100))(keys))


def network_kernel(layers: int) -> Any:
    """The NNGP of so many hidden layers of ReLU, its weight and bias variances and its output scale to be learnt."""
    import jax.numpy as jnp

    from cadlag.kernels import NNGP, Dense, ReLU, Serial

    maps: list[Any] = [Dense(jnp.asarray(1.4), jnp.asarray(0.3))]
    for _ in range(layers):
        maps += [ReLU(), Dense(jnp.asarray(1.4), jnp.asarray(0.3))]
    return 1.0 * NNGP(Serial(*maps))


def regression(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Test likelihood and error on diabetes, means over splits, by number of training points and data."""
    found: dict[str, Any] = {}
    for n, splits in settings["splits"].items():
        found[n] = {}
        for data in ("clean", "outliers"):
            rows = [_one_split(arm, int(n), data, settings, 1000 * seed + k) for k in range(splits)]
            found[n][data] = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    return found


def _one_split(arm: str, n: int, data: str, settings: dict[str, Any], split: int) -> dict[str, float]:
    import time

    import numpy as np
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    rng = np.random.default_rng(split)
    order = rng.permutation(len(x))
    train, test = order[:n], order[n : n + settings["test"]]
    targets = y[train].copy()
    if data == "outliers":
        count = max(1, round(settings["outliers"] * n))
        targets[:count] = y.mean() + rng.choice([-1, 1], count) * settings["far"] * y.std()
    start = time.perf_counter()
    log_prob, mean = fitted(arm, x[train], targets, settings)(x[test], y[test])
    spent = time.perf_counter() - start
    return {"nll": float(-np.mean(log_prob)), "rmse": float(np.sqrt(np.mean((mean - y[test]) ** 2))), "seconds": spent}


def fitted(arm: str, x: Any, y: Any, settings: dict[str, Any]) -> Any:
    """A function of test inputs and targets that gives log-densities and means."""
    from cadlag.limits import GaussianProcessRegressor, StudentTRegressor
    from cadlag.recipes._scale_mixture_baselines import best_burr, robust_process

    kernel, common = network_kernel(settings["layers"]), {"noise": settings["noise"], "steps": settings["steps"]}
    if arm == "t":
        model = StudentTRegressor(kernel, degrees=settings["degrees"], **common).fit(x, y)
        return lambda a, b: (model.log_prob(a, b), model.predict(a))
    if arm == "burr":
        burr = best_burr(kernel, x, y, common)
        return lambda a, b: (burr.log_prob(a, b), burr.predict(a))
    if arm == "per-point":
        return robust_process(kernel, x, y, settings)
    gaussian = GaussianProcessRegressor(kernel, **common).fit(x, y)
    return lambda a, b: (gaussian.log_prob(a, b), gaussian.predict(a))


def digits(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Trained on clean labels and on labels of which a tenth is wrong; tested on clean and on noisy digits."""
    import numpy as np

    from cadlag.data import digits_split
    from cadlag.limits import StudentTClassifier

    of, rng = settings["digits"], np.random.default_rng(seed)
    train, test = digits_split(seed=seed)
    (x, y), (a, b) = (
        (8 * np.asarray(s.values).reshape(len(s.values), -1) + 8, np.asarray(s.labels)) for s in (train, test)
    )
    shot = rng.poisson(a / 16 * of["shot"]) / of["shot"] * 16
    wrong = np.where(rng.random(len(y)) < of["wrong_labels"], rng.integers(0, 10, len(y)), y)
    degrees = settings["degrees"] if arm == "svtp" else float("inf")
    make = lambda: StudentTClassifier(  # noqa: E731
        degrees=degrees, inducing=of["inducing"], steps=of["steps"], batch_size=of["batch"], seed=seed
    )
    clean, noisy = make().fit(x, y), make().fit(x, wrong)
    return {"clean": _classified(clean, a, b), "corrupted": _classified(clean, shot, b),
            "wrong_labels": _classified(noisy, a, b)}  # fmt: skip


def _classified(model: Any, x: Any, y: Any) -> dict[str, float]:
    import numpy as np

    p = model.predict_proba(x)
    right = p[np.arange(len(y)), y]
    return {"accuracy": float(np.mean(np.argmax(p, 1) == y)), "nll": float(-np.mean(np.log(right)))}
