"""What `mr-sampler` measures: the scalar problem, and digits restored."""

import functools
import time
from typing import Any

from cadlag.recipes._curve import thin

# The scalar problem: x_0 ~ N(0.2, 0.04²), μ = 0.6, σ_∞ = 50/255, α = e^{-5.298 t}, t from 1 to 0.02.
PROBLEM = {"mean": 0.2, "std": 0.04, "mu": 0.6, "stationary": 50 / 255, "rate": 5.298, "end": 0.02}


def exact(settings: dict[str, Any]) -> dict[str, Any]:
    """Largest error of two starts at the end of the flow, by sampler and evaluations; double precision."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.diffusion import (
        OU,
        DPMSolver,
        EulerStep,
        ExactDenoiser,
        Noise,
        PredictorCorrector,
        sample,
    )
    from cadlag.distributions import GaussianMixture
    from cadlag.train import enable_x64

    p, errors = PROBLEM, {}
    with enable_x64():
        law = GaussianMixture.isotropic(jnp.ones(1), jnp.full((1, 1), p["mean"]), jnp.full(1, p["std"]))
        schedule = OU(
            rate=p["rate"], std=p["stationary"], t1=1.0, t_min=p["end"], t_max=1.0, shift=jnp.array([p["mu"]])
        )
        starts = p["mu"] + p["stationary"] * jnp.array([[1.3], [-0.4]])
        ends = np.exp(-p["rate"] * np.array([p["end"], 1.0]))
        spread = np.hypot(ends * p["std"], p["stationary"] * np.sqrt(1 - ends**2))
        centre = p["mu"] + ends * (p["mean"] - p["mu"])
        truth = centre[0] + spread[0] / spread[1] * (np.asarray(starts) - centre[1])
        exact_one = ExactDenoiser(law=law, schedule=schedule)
        for name in ("ode-1", "ode-2", "ode-2-noise", "ode-3", "euler"):
            errors[name] = {}
            for count in (5, 10, 20, 80):
                sampler = {
                    "ode-1": DPMSolver(count, order=1),
                    "ode-2": DPMSolver(count, order=2),
                    "ode-2-noise": DPMSolver(count, order=2, reads=Noise()),
                    "ode-3": DPMSolver(count, order=3),
                    "euler": PredictorCorrector(count, EulerStep(0.0)),
                }[name]
                x = sample(exact_one, (1,), 2, key=jax.random.key(0), sampler=sampler, start=starts)
                errors[name][str(count)] = float(np.max(np.abs(np.asarray(x) - truth)))
    return {"errors": errors, "ratio": errors["ode-2"]["10"] / errors["ode-1"]["10"]}


def degrade(images: Any, task: str, seed: int) -> Any:
    """Digits (n, 1, 8, 8) in [0, 1]: a 4x4 block replaced by the image's mean, a 3x3 box blur with noise, noise."""
    import numpy as np
    from scipy.ndimage import uniform_filter

    rng = np.random.default_rng(seed)
    if task == "noise":
        return images + rng.normal(0, 0.2, images.shape)
    if task == "blur":
        return uniform_filter(images, 3, mode="nearest", axes=(2, 3)) + rng.normal(0, 0.05, images.shape)
    made = images.copy()
    for image in made:
        i, j = rng.integers(0, 5, 2)
        image[:, i : i + 4, j : j + 4] = image.mean()
    return made


def samplers(counts: list[int]) -> dict[str, dict[int, Any]]:
    """Every sampler at every number of evaluations, on the grid that suits it."""
    from cadlag.diffusion import AncestralStep, DPMSolver, EulerStep, Noise, PredictorCorrector, UniformTime

    makers: dict[str, Any] = {
        "euler": lambda n: PredictorCorrector(n, EulerStep(), grid=UniformTime()),
        "posterior": lambda n: PredictorCorrector(n, AncestralStep(), grid=UniformTime()),
        "sde-1": lambda n: DPMSolver(n, order=1, stochastic=True),
        "sde-2": lambda n: DPMSolver(n, order=2, stochastic=True),
        "ode-1": lambda n: DPMSolver(n, order=1),
        "ode-2": lambda n: DPMSolver(n, order=2),
        "ode-2-noise": lambda n: DPMSolver(n, order=2, reads=Noise()),
    }
    return {name: {n: make(n) for n in counts} for name, make in makers.items()}


def restoration(arm: str, task: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train on degraded digits, restore held-out ones."""
    import numpy as np

    from cadlag.data import digits_split

    train, test = (np.asarray(part.values) / 2 + 0.5 for part in digits_split(seed=seed))
    test = test[: settings["restored"]]
    pairs = degrade(train, task, 3 * seed), train
    held = degrade(test, task, 3 * seed + 1)
    score = functools.partial(_score, clean=test, reference=train, settings=settings, seed=seed)
    start = time.perf_counter()
    if arm == "regression":
        restore, history = _regression(*pairs, settings, seed)
        spent = time.perf_counter() - start
        restored = restore(held)
        return {"once": {"1": score(restored)}, "ms_per_step": 1000 * spent / settings["steps"], "curve": thin(history),
                "images": restored[:10, 0].round(2).tolist()}  # fmt: skip
    model = _restorer(settings, seed).fit(*pairs)
    spent = time.perf_counter() - start
    found: dict[str, Any] = {}
    shown = {}
    for name, by_count in samplers(settings["counts"]).items():
        found[name] = {}
        for count, sampler in by_count.items():
            restored = model.restore(held, sampler=sampler, seed=seed)
            found[name][str(count)] = score(restored)
            if (name, count) in (("sde-2", 10), ("posterior", 10), ("posterior", 100), ("euler", 10)):
                shown[f"{name}, {count}"] = restored[:10, 0].round(2).tolist()
    floor = {"clean": {"0": score(test)}, "degraded": {"0": score(held)}}
    shown = {"clean": test[:10, 0].round(2).tolist(), "degraded": held[:10, 0].round(2).tolist(), **shown}
    return {**found, **floor, "ms_per_step": 1000 * spent / settings["steps"],
            "curve": thin(model.history_["loss"]), "images": shown}  # fmt: skip


def _restorer(settings: dict[str, Any], seed: int) -> Any:
    from cadlag.diffusion import MeanReverting
    from cadlag.generate import Restorer, mlp_beside

    network = functools.partial(mlp_beside, width=settings["width"], depth=settings["depth"])
    # In the published unit: images in [0, 1], σ_∞ = 50/255.
    return Restorer(
        MeanReverting(), network, steps=settings["steps"], batch_size=settings["batch"], standardise=False,
        learning_rate=settings["learning_rate"], average=settings["average"], seed=seed,
    )  # fmt: skip


def _regression(degraded: Any, clean: Any, settings: dict[str, Any], seed: int) -> Any:
    """The same network at one fixed level, regressing the clean digit less the degraded one."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.generate import mlp_beside
    from cadlag.generate._train import Training, train

    network = mlp_beside((1, 8, 8), width=settings["width"], depth=settings["depth"], key=jax.random.key(seed + 1))
    data = (jnp.asarray(degraded, jnp.float32), jnp.asarray(clean, jnp.float32))
    run = Training(
        settings["steps"], settings["batch"], settings["learning_rate"], settings["average"], seed, None, None
    )
    network, history = train(network, data, regression_loss, run)
    restore = jax.jit(jax.vmap(lambda mu: mu + network(jnp.zeros(()), mu, cond=mu)))
    return lambda held: np.asarray(restore(jnp.asarray(held, jnp.float32))), history["loss"]


def regression_loss(network: Any, batch: Any, key: Any) -> Any:
    """Mean squared error of the restored digit."""
    import jax
    import jax.numpy as jnp

    degraded, clean = batch
    restored = jax.vmap(lambda mu: mu + network(jnp.zeros((), mu.dtype), mu, cond=mu))(degraded)
    return jnp.mean(jnp.square(restored - clean)), {}


def _score(restored: Any, *, clean: Any, reference: Any, settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Sliced W2 to other clean digits, and PSNR (range 1), of restored digits without clipping."""
    import jax
    import numpy as np

    from cadlag.metrics import sliced_wasserstein

    a, b = (np.asarray(x, np.float32) for x in (restored, reference))
    distance = sliced_wasserstein(a, b, key=jax.random.key(seed), projections=settings["projections"])
    error = float(np.mean((np.asarray(restored, np.float64) - clean) ** 2))
    return {"distance": float(distance), "psnr": float(-10 * np.log10(error)) if error > 0 else 99.0}
