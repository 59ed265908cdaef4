"""What `adjoint-dpm` measures: gradients with exact denoisers, memory, steered digits."""

import functools
import time
from typing import Any

from cadlag.recipes._curve import thin


def exact(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Relative errors of the gradient of |x|²/2 at normal starts, in double precision, and memory."""
    from cadlag.train import enable_x64

    with enable_x64():
        error = {name: _errors(denoiser, size, settings, seed) for name, denoiser, size in _laws()}
    return {"error": error, "memory": _memory(settings)}


def _laws() -> list[tuple[str, Any, int]]:
    import jax.numpy as jnp

    from cadlag.diffusion import VP, ExactDenoiser
    from cadlag.distributions import GaussianMixture, ring_of_gaussians

    two = GaussianMixture.isotropic(jnp.full(2, 0.5), jnp.array([[-1.0], [1.5]]), jnp.full(2, 0.2))
    ring = ring_of_gaussians(8, jnp.asarray(2.0), jnp.asarray(0.1))
    return [
        (name, ExactDenoiser(law=law, schedule=VP()), d) for name, law, d in (("mixture", two, 1), ("ring", ring, 2))
    ]


def _modes() -> dict[str, Any]:
    from cadlag.solve import Backsolve, Checkpointed

    return {"continuous": Backsolve(), "stored": Backsolve(store=True), "discrete": Checkpointed()}


def _errors(denoiser: Any, size: int, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Median over the starts, by variable, stepper and mode; `log` is Heun in the ratio on the log-SNR grid."""
    import jax
    import jax.numpy as jnp

    from cadlag.diffusion import NoiseRatio, ProbabilityFlow, Time, UniformLogSNR, UniformTime, decode
    from cadlag.solve import EulerMaruyama, Heun

    starts = jax.random.normal(jax.random.key(seed), (settings["starts"], size))

    def slopes(flow: Any) -> Any:
        loss = lambda x: 0.5 * jnp.sum(decode(denoiser, x, flow=flow) ** 2)  # noqa: E731
        return jax.jit(jax.vmap(jax.grad(loss)))(starts)

    modes, n = _modes(), settings["steps"]
    truth = slopes(ProbabilityFlow(2000, Heun(), UniformLogSNR(), modes["discrete"], NoiseRatio()))

    def error(*how: Any) -> float:
        gap = jnp.linalg.norm(slopes(ProbabilityFlow(n, *how)) - truth, axis=1) / jnp.linalg.norm(truth, axis=1)
        return float(jnp.median(gap))

    found: dict[str, Any] = {}
    for variable, object_ in (("time", Time()), ("ratio", NoiseRatio())):
        found[variable] = {
            name: {mode: error(stepper, UniformTime(), adjoint, object_) for mode, adjoint in modes.items()}
            for name, stepper in (("euler", EulerMaruyama()), ("heun", Heun()))
        }
    found["log"] = {
        "heun": {mode: error(Heun(), UniformLogSNR(), adjoint, NoiseRatio()) for mode, adjoint in modes.items()}
    }
    return found


def _memory(settings: dict[str, Any]) -> dict[str, Any]:
    """Bytes of temporary memory of a gradient for noise and weights, 32 samples of a small network."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from cadlag.diffusion import VP, Denoiser, NoiseRatio, ProbabilityFlow, decode
    from cadlag.nn import ScoreMLP
    from cadlag.solve import Direct

    net = ScoreMLP(8, width=128, depth=2, key=jax.random.key(0))
    params, rest = eqx.partition(Denoiser(network=net, schedule=VP()), eqx.is_inexact_array)

    def size(adjoint: Any, steps: int) -> int:
        flow = ProbabilityFlow(steps, adjoint=adjoint, variable=NoiseRatio())

        def loss(p: Any, x: Any) -> Any:
            return jnp.sum(jax.vmap(lambda z: decode(eqx.combine(p, rest), z, flow=flow))(x) ** 2)

        compiled = jax.jit(jax.grad(loss, (0, 1))).lower(params, jnp.ones((32, 8), jnp.float32)).compile()
        analysis: Any = compiled.memory_analysis()
        return int(analysis.temp_size_in_bytes)

    found = {}
    for mode, adjoint in {**_modes(), "naive": Direct(store_intermediates=True)}.items():
        few, many = (size(adjoint, n) for n in settings["memory_steps"])
        found[mode] = {"few": few, "many": many, "growth": many / few}
    return found


def digits(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train a model and two classifiers; steer the noise; baselines on the same model and noise."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from cadlag.data import digits_split
    from cadlag.diffusion import Guided, NoiseRatio, ProbabilityFlow, sample
    from cadlag.generate import Generator, mlp, steer

    train, _ = digits_split(seed=seed)
    network = functools.partial(mlp, width=settings["width"], depth=settings["depth"])
    start = time.perf_counter()
    model = Generator(network=network, steps=settings["train_steps"], levels=17, seed=seed).fit(train.values)
    spent = time.perf_counter() - start
    first, second = _classifiers(train, seed)
    n = settings["samples"]
    aims = jnp.asarray((np.arange(n) + seed) % 10, jnp.int32)
    noise = jax.random.normal(jax.random.key(seed + 1), (n, *model.shape_), jnp.float32)
    flows = {
        mode: ProbabilityFlow(settings["steps"], adjoint=adjoint, variable=NoiseRatio())
        for mode, adjoint in _modes().items()
    }
    log_class = lambda x, c: first(model.scaling_.invert(x).reshape(-1))[c]  # noqa: E731
    metric = lambda x, c: -log_class(x, c)  # noqa: E731
    hit = lambda x: float(np.mean(second(np.asarray(model.scaling_.invert(x)).reshape(n, -1)) == np.asarray(aims)))  # noqa: E731
    draw = functools.partial(sample, shape=model.shape_, key=jax.random.key(0), sampler=flows["discrete"])
    plain = draw(model.model_, n=n, start=noise)
    hits, losses, images = {"unguided": hit(plain)}, {}, {"unguided": plain}
    for mode in ("continuous", "discrete"):
        made = steer(
            model.model_, metric, noise, key=jax.random.key(0), aim=aims, sampler=flows[mode],
            optimiser=optax.adam(settings["learning_rate"]), steps=settings["updates"], clip=settings["clip"],
        )  # fmt: skip
        hits[mode], losses[mode], images[mode] = hit(made.x), thin(jnp.mean(made.losses, axis=0)), made.x
    by_first = jax.jit(jax.vmap(log_class))
    # The baseline gets the better of its scales, by the classifier that guides it.
    guided = {}
    for scale in settings["one_step_scales"]:
        likelihood = lambda t, x, c: log_class(model.model_.data(t, x), c)  # noqa: E731
        x = draw(Guided(denoiser=model.model_, log_likelihood=likelihood, scale=scale), n=n, start=noise, cond=aims)
        guided[float(jnp.mean(by_first(x, aims)))] = x
    images["one_step"] = guided[max(guided)]
    hits["one_step"] = hit(images["one_step"])
    many = draw(model.model_, n=n * settings["updates"], key=jax.random.key(seed + 2))
    rows = many.reshape(settings["updates"], n, *model.shape_)
    chosen = jnp.argmax(jax.vmap(lambda x: by_first(x, aims))(rows), axis=0)
    images["best_of"] = rows[chosen, jnp.arange(n)]
    hits["best_of"] = hit(images["best_of"])
    return {
        "hits": hits,
        "cosine": _cosine(model.model_, metric, noise, aims, flows),
        "losses": losses,
        "seconds_of_training": spent,
        "images": {
            name: np.asarray(model.scaling_.invert(x))[:10].reshape(-1, 8, 8).round(2).tolist()
            for name, x in images.items()
        },
    }


def _cosine(denoiser: Any, metric: Any, noise: Any, aims: Any, flows: dict[str, Any]) -> float:
    """Mean cosine of the continuous gradient to that of the chain."""
    import jax
    import jax.numpy as jnp

    from cadlag.diffusion import decode

    def gradients(flow: Any) -> Any:
        one = jax.grad(lambda z, c: metric(decode(denoiser, z, flow=flow), c))
        return jax.jit(jax.vmap(one))(noise, aims).reshape(len(noise), -1)

    a, b = gradients(flows["continuous"]), gradients(flows["discrete"])
    return float(jnp.mean(jnp.sum(a * b, axis=1) / (jnp.linalg.norm(a, axis=1) * jnp.linalg.norm(b, axis=1))))


def _classifiers(train: Any, seed: int) -> tuple[Any, Any]:
    """Log-probabilities by a network on one half of the digits, classes by a support vector machine on the other."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    x, y = np.asarray(train.values).reshape(len(train.values), -1), np.asarray(train.labels)
    half = len(x) // 2
    net = MLPClassifier((64,), alpha=1e-2, max_iter=500, random_state=seed).fit(x[:half], y[:half])
    judge = SVC(C=10.0).fit(x[half:], y[half:])
    (w0, w1), (b0, b1) = ([jnp.asarray(a, jnp.float32) for a in arrays] for arrays in (net.coefs_, net.intercepts_))

    def log_probabilities(x: Any) -> Any:
        return jax.nn.log_softmax(jax.nn.relu(x @ w0 + b0) @ w1 + b1)

    return log_probabilities, judge.predict
