"""What `score-sde` measures: exact likelihood, the ring, digits."""

import functools
import time
from typing import Any

from cadlag.recipes._curve import thin


def ring_law(settings: dict[str, Any]) -> Any:
    """The ring of Gaussians, whose density is known."""
    import jax.numpy as jnp

    from cadlag.distributions import ring_of_gaussians

    ring = settings["ring"]
    return ring_of_gaussians(ring["modes"], jnp.asarray(ring["radius"]), jnp.asarray(ring["std"]))


def draw(law: Any, n: int, seed: int) -> Any:
    """n samples, shape (n, 2)."""
    import jax
    import numpy as np

    return np.asarray(jax.jit(jax.vmap(law.sample))(jax.random.split(jax.random.key(seed), n)))


def exact(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Largest error of the flow's log-likelihood over 50 points, in double precision, for three schedules."""
    import jax
    import jax.numpy as jnp

    from cadlag.diffusion import VE, VP, ExactDenoiser, ProbabilityFlow, SubVP, log_prob
    from cadlag.solve import AdaptiveSteps
    from cadlag.train import enable_x64

    errors = {}
    with enable_x64():
        law = ring_law(settings)
        points = jnp.asarray(draw(law, 50, seed))
        flow = ProbabilityFlow(AdaptiveSteps(rtol=1e-6, atol=1e-6))
        for name, schedule in (("vp", VP()), ("sub-vp", SubVP()), ("ve", VE())):
            ends = jnp.asarray([schedule.t_min, schedule.t_max])
            smoothed, prior = (law.diffused(schedule.alpha(t), schedule.sigma(t)) for t in ends)
            found = jax.jit(
                jax.vmap(functools.partial(log_prob, ExactDenoiser(law=law, schedule=schedule), flow=flow, prior=prior))
            )(points)
            errors[name] = float(jnp.max(jnp.abs(found - jax.vmap(smoothed.log_prob)(points))))
    return {"error": max(errors.values()), "errors": errors}


def ring(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train on the ring; likelihood against the truth, evaluations of a black-box solver, samplers compared."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.diffusion import VE, VP, Noise, ProbabilityFlow, Simple, SubVP, sample
    from cadlag.generate import Generator, mlp

    law, shape = ring_law(settings), settings["ring"]
    data, test = draw(law, shape["train"], 10 * seed), draw(law, settings["tested"], 10 * seed + 1)
    # The data are scaled to deviation one, so that the largest distance is about three.
    schedule = {"vp": VP(), "sub-vp": SubVP(), "ve": VE(sigma_max=10.0)}[arm]
    network = functools.partial(mlp, width=shape["width"], depth=shape["depth"])
    start = time.perf_counter()
    model = Generator(
        schedule, network, prediction=Noise(), weighting=Simple(),
        steps=settings["ring_steps"], batch_size=shape["batch"], average=settings["average"],
        learning_rate=settings["learning_rate"], seed=seed,
    ).fit(data)  # fmt: skip
    spent = time.perf_counter() - start
    nll = -model.score(test)
    truth = -float(jnp.mean(jax.vmap(law.log_prob)(jnp.asarray(test))))
    n = settings["drawn"]
    drawn = sample(model.model_, (2,), n, key=jax.random.key(seed + 100), sampler=ProbabilityFlow(), stats=True)
    reference = draw(law, n, 10 * seed + 2)
    distances = _distances(model, settings, reference, seed)
    distances["flow"] = _distance(np.asarray(model.scaling_.invert(drawn.x)), reference, seed)
    distances["data"] = _distance(draw(law, n, 10 * seed + 3), reference, seed)
    return {
        "nll": nll,
        "truth": truth,
        "gap": nll - truth,
        "evaluations": float(jnp.mean(drawn.evaluations)),
        "distance": distances,
        "ms_per_step": 1000 * spent / settings["ring_steps"],
        "curve": thin(model.history_["loss"]),
        "points": np.asarray(model.sample(300, seed=seed)).round(3).tolist(),
    }


def _distances(model: Any, settings: dict[str, Any], reference: Any, seed: int) -> dict[str, float]:
    """Sliced W2 to fresh data: predictor alone against predictor-corrector, at equal evaluations."""
    from cadlag.diffusion import Langevin, PredictorCorrector

    found: dict[str, float] = {}
    for count in settings["evaluations"]:
        samplers = {
            "predictor": PredictorCorrector(count),
            "pc": PredictorCorrector(count // 2, corrector=Langevin(settings["snr"])),
        }
        for name, sampler in samplers.items():
            x = model.sample(len(reference), sampler=sampler, seed=seed + 200)
            found[f"{name}-{count}"] = _distance(x, reference, seed)
    for name in ("predictor", "pc"):
        found[name] = sum(found[f"{name}-{c}"] for c in settings["evaluations"]) / len(settings["evaluations"])
    return found


def _distance(x: Any, y: Any, seed: int) -> float:
    import jax
    import numpy as np

    from cadlag.metrics import sliced_wasserstein

    return float(sliced_wasserstein(np.asarray(x, np.float32), np.asarray(y, np.float32), key=jax.random.key(seed)))


def classical_ring(arm: str, settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Negative log-likelihood of a Gaussian or a mixture on the ring."""
    if arm == "mean":
        return {}
    law = ring_law(settings)
    data, test = draw(law, settings["ring"]["train"], 10 * seed), draw(law, settings["tested"], 10 * seed + 1)
    fitted = _classical(arm, data, settings, seed)
    return {"nll": float(-fitted.score(test))}


def _classical(arm: str, data: Any, settings: dict[str, Any], seed: int) -> Any:
    """scikit-learn's mixture: one component, or as many as do best on a tenth held out."""
    from sklearn.mixture import GaussianMixture

    def fit(k: int, x: Any) -> Any:
        return GaussianMixture(k, reg_covar=1e-4, random_state=seed, n_init=2 if k > 1 else 1).fit(x)

    if arm == "gaussian":
        return fit(1, data)
    cut = len(data) // 10
    best = max(settings["components"], key=lambda k: fit(k, data[cut:]).score(data[:cut]))
    return fit(best, data)


def digits(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train on digits; bits per dimension of held-out ones, and the lower half filled in."""
    import numpy as np

    from cadlag.diffusion import Noise, Simple
    from cadlag.generate import Generator, mlp, unet

    train, test = digit_parts(seed)
    size = settings["digits"]
    network: Any = functools.partial(mlp, width=size["width"], depth=size["depth"])
    steps = settings["digit_steps"]
    if arm == "digits-unet":
        network, steps = functools.partial(unet, width=32, multipliers=(1, 2), blocks=2), settings["unet_steps"]
    start = time.perf_counter()
    model = Generator(
        network=network, prediction=Noise(), weighting=Simple(),
        steps=steps, batch_size=size["batch"], levels=size["levels"], average=settings["average"],
        learning_rate=settings["learning_rate"], seed=seed,
    ).fit(train.values)  # fmt: skip
    spent = time.perf_counter() - start
    bits = model.bits_per_dim(test.values[: settings["tested"]], seed=seed)
    clean, known, labels = half_known(test, settings)
    filled = model.condition(known=known).sample(len(known), seed=seed)
    return {
        "bits": float(bits.mean()),
        "filled": judge_filled(filled, clean, labels, seed),
        "ms_per_step": 1000 * spent / steps,
        "curve": thin(model.history_["loss"]),
        "images": {
            "samples": np.asarray(model.sample(20, seed=seed)).round(2).tolist(),
            "clean": clean[:10].round(2).tolist(),
            "filled": filled[:10].round(2).tolist(),
        },
    }


def classical_digits(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """The same figures for a Gaussian, a mixture, the mean digit."""
    import numpy as np

    train, test = digit_parts(seed)
    clean, known, labels = half_known(test, settings)
    if arm == "mean":
        filled = np.where(np.isnan(known), np.asarray(train.values).mean(0), known)
        return {"filled": judge_filled(filled, clean, labels, seed)}
    spread = np.random.default_rng(seed)
    levels = settings["digits"]["levels"]
    cell = 2 / (levels - 1)
    noisy = lambda v: (v + cell * spread.uniform(-0.5, 0.5, v.shape)).reshape(len(v), -1)  # noqa: E731
    data = np.concatenate([noisy(np.asarray(train.values)) for _ in range(5)])
    fitted = _classical(arm, data, settings, seed)
    nats = fitted.score_samples(noisy(np.asarray(test.values)[: settings["tested"]]))
    bits = float(-nats.mean() / (data.shape[1] * np.log(2)) - np.log2(cell))
    if arm == "mixture":
        return {"bits": bits, "components": fitted.n_components}
    filled = _conditional_mean(data, known)
    return {"bits": bits, "filled": judge_filled(filled, clean, labels, seed)}


def _conditional_mean(data: Any, known: Any) -> Any:
    """The lower half's mean given the upper half, under the Gaussian of the data."""
    import numpy as np

    mean, cov = data.mean(0), np.cov(data.T)
    flat = known.reshape(len(known), -1)
    seen = ~np.isnan(flat[0])
    gain = cov[~seen][:, seen] @ np.linalg.inv(cov[seen][:, seen])
    filled = flat.copy()
    filled[:, ~seen] = mean[~seen] + (flat[:, seen] - mean[seen]) @ gain.T
    return filled.reshape(known.shape)


def digit_parts(seed: int) -> tuple[Any, Any]:
    """Digits as images in [-1, 1]: 1437 to learn from, 360 to judge by."""
    from cadlag.data import digits_split

    return digits_split(seed=seed)


def half_known(test: Any, settings: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Clean test digits, the same with NaN in the lower half, and labels."""
    import numpy as np

    clean = np.asarray(test.values)[: settings["filled"]]
    known = clean.copy()
    known[:, :, 4:] = np.nan
    return clean, known, np.asarray(test.labels)[: settings["filled"]]


def judge_filled(filled: Any, clean: Any, labels: Any, seed: int) -> dict[str, float]:
    """Mean squared error in the lower half, and the accuracy of a logistic regression trained on whole digits."""
    import numpy as np

    right = _judge(seed).score(np.asarray(filled).reshape(len(filled), -1), labels)
    return {"error": float(np.mean((filled - clean)[:, :, 4:] ** 2)), "accuracy": float(right)}


@functools.cache
def _judge(seed: int) -> Any:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    train, _ = digit_parts(seed)
    values = np.asarray(train.values)
    return LogisticRegression(max_iter=300, C=0.1).fit(values.reshape(len(values), -1), np.asarray(train.labels))
