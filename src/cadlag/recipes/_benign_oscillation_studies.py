"""What `benign-oscillation` measures: many small trainings at once, their ends and their paths."""

import functools
import time
from typing import Any


def trained(
    settings: dict[str, Any],
    rate: float,
    seed: int,
    *,
    steps: int,
    batch: int,
    width: int,
    label_noise: float = 0.0,
    decay: float = 1.0,
) -> dict[str, Any]:
    """Trainings at one rate, one for each pair of data and initial weights; diverged ones are counted as wrong.

    `label_noise`: deviation of noise that is added to every target anew. `decay`: the rate falls to this share of
    itself halfway.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.lens import Course, FeatureNoise, oscillation

    law = FeatureNoise(settings["dimension"])
    keys = jax.random.split(jax.random.key(seed), settings["runs"])
    options = (law, settings["examples"], width, batch, steps, settings["test"])
    start = time.perf_counter()
    numbers = (jnp.asarray(float(x)) for x in (rate, label_noise, decay))
    found = {k: np.asarray(v) for k, v in _compiled()(options, keys, *numbers).items()}
    seconds = time.perf_counter() - start
    diverged = ~np.isfinite(found["loss"])
    right = lambda a: float(np.mean(np.where(diverged, 0.0, a)))  # noqa: E731
    looks = [oscillation(r[: steps // 4], window=steps // 8) for r in found["residual"]]
    whole = found["residual"][~diverged]
    return {
        "weak": right(found["weak"]),
        "strong": right(found["strong"]),
        "by_run": [float(a) for a in np.where(diverged, 0.0, found["weak"])],
        "loss": float(np.mean(found["loss"])),
        "diverged": int(diverged.sum()),
        "u": right(found["u"]),
        "v": right(found["v"]),
        "oscillating": sum(x.course in (Course.oscillating, Course.fluctuating) for x in looks),
        "amplitude": float(np.mean([x.amplitude for x in looks])),
        "residual": float(np.mean(whole[:, steps // 20 : steps // 4])) if len(whole) else float("nan"),
        "path": [float(x) for x in np.mean(np.abs(whole[:1]), axis=0)[:: max(1, steps // 300)]] if len(whole) else [],
        "seconds": seconds,
    }


@functools.cache
def _compiled() -> Any:
    """One function a process, so that all rates of one size are compiled once."""
    import equinox as eqx
    import jax

    def runs(options: tuple, keys: Any, rate: Any, label_noise: Any, decay: Any) -> Any:
        return jax.vmap(lambda key: _one(options, key, rate, label_noise, decay))(keys)

    return eqx.filter_jit(runs)


def _one(options: tuple, key: Any, rate: Any, label_noise: Any, decay: Any) -> dict[str, Any]:
    """Data, weights and SGD of one run, by the library's own loop."""
    import jax
    import jax.numpy as jnp
    import optax

    from cadlag.data import Batches
    from cadlag.lens import PatchNetwork, alignments, sign_accuracy, squared_loss
    from cadlag.train import gradient, minimise

    law, n, width, batch, steps, test = options
    k1, k2, k3, k4, k5 = jax.random.split(key, 5)
    data = law.sample(n, key=k1)

    def loss(network: Any, batch: Any, key: Any) -> Any:
        noise = label_noise * jax.random.normal(key, batch.y.shape)
        return squared_loss(network, batch._replace(y=batch.y + noise), key)

    schedule = lambda count: -rate * jnp.where(count < steps // 2, 1.0, decay)  # noqa: E731
    update = gradient(loss, optax.scale_by_schedule(schedule))
    state = update.init(PatchNetwork(law.dimension, width, key=k2), k3)
    state, info = minimise(update, state, Batches(data, batch), steps, key=k3)
    network = state.unknowns
    u, v = alignments(network)
    return {
        "loss": squared_loss(network, data, k3)[0],
        "weak": sign_accuracy(network, law.sample(test, key=k4, share=0.0)),
        "strong": sign_accuracy(network, law.sample(test, key=k5, share=1.0)),
        "u": u,
        "v": v,
        "residual": info["residual"],
    }


def theory(settings: dict[str, Any]) -> dict[str, Any]:
    """Where the map of one example ends, against the edge of stability, and its mean residual."""
    import numpy as np

    from cadlag.lens import toy_end, toy_path

    rows = {}
    for kappa in settings["kappas"]:
        path = toy_path(kappa, kappa / 100, 0.05, 0.01, settings["toy_steps"])
        alone = toy_path(kappa, 0.0, 0.05, 0.0, settings["toy_steps"])
        rows[str(kappa)] = {
            "end": float(path.weak[-1]),
            "predicted": toy_end(kappa, kappa / 100),
            "residual": float(np.mean(np.asarray(alone.residual)[200:])),
            "path": [float(x) for x in np.asarray(path.weak)[:: settings["toy_steps"] // 200]],
        }
    worst = max(abs(row["end"] / row["predicted"] - 1) for row in rows.values())
    return {"rows": rows, "worst": worst, "least_residual": min(row["residual"] for row in rows.values())}
