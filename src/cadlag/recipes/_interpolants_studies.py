"""What `interpolants` measures: the four studies, one arm under one seed."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.data import Batches, FromFunction
from cadlag.diffusion import Denoiser, DenoisingLoss, Flow, Native, Velocity
from cadlag.diffusion._coupling import CoupledBatches, EntropicOT
from cadlag.diffusion._exact_interpolant import ExactInterpolant
from cadlag.diffusion._field_pairs import VelocityNoise, VelocityOnly
from cadlag.diffusion._gamma import BrownianGamma, NoGamma, QuadraticGamma, SineGamma
from cadlag.diffusion._interpolant import Linear, Trigonometric
from cadlag.diffusion._interpolant_loss import FieldErrors, InterpolantLoss
from cadlag.diffusion._interpolant_model import InterpolantModel, OneSided
from cadlag.diffusion._interpolant_processes import NoiseFirstHeun, TabulatedEpsilon
from cadlag.diffusion._interpolant_sampling import interpolant_log_prob, sample_interpolant
from cadlag.distributions import Checkerboard, GaussianMixture
from cadlag.generate._train import make_update
from cadlag.generate.interpolants import standard_normal
from cadlag.metrics import debiased, sliced_wasserstein
from cadlag.nn import ScoreMLP
from cadlag.recipes._curve import thin
from cadlag.recipes._interpolants_laws import (
    bridge,
    fokker_planck,
    kl_on_grid,
    kolmogorov,
    mixture_quantiles,
    stage_times,
)
from cadlag.train import fit

# Both ends of studies A and B: weights, means, deviations.
START = ((0.5, 0.5), (-3.0, 3.0), (0.5, 0.5))
END = ((1 / 3, 1 / 3, 1 / 3), (-6.0, 0.0, 6.0), (0.5**0.5, 0.33**0.5, 0.5**0.5))
PATHS = {
    "exact": Linear(BrownianGamma(1.0)),
    "brownian": Linear(BrownianGamma(1.0)),
    "quadratic": Linear(QuadraticGamma()),
    "sine": Linear(SineGamma()),
    "trig": Trigonometric(BrownianGamma(1.0)),
    "no-gamma": Linear(NoGamma()),
}
REACH = 11.0
HEUN: Any = {"stepper": NoiseFirstHeun()}


@functools.cache
def law(which: tuple) -> GaussianMixture:
    """A mixture on the line."""
    weights, means, stds = (jnp.asarray(v) for v in which)
    return GaussianMixture.isotropic(weights, means[:, None], stds)


def exact_model(arm: str) -> ExactInterpolant:
    """The closed form of an arm's path."""
    return ExactInterpolant(PATHS[arm], law(START), law(END))


def exact_study(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """sup |F_n - F| at t = 1 with exact fields, for each number of steps and each ε, from a stratified start."""
    x0 = jnp.asarray(mixture_quantiles(settings["particles"], *START))[:, None]
    model, distance = exact_model("exact"), {}
    for steps in settings["exact_steps"]:
        distance[str(steps)] = {}
        for i, epsilon in enumerate(settings["exact_epsilons"]):
            how = {} if epsilon == 0 else {**HEUN, "key": jr.fold_in(jr.key(seed), i)}
            x1 = sample_interpolant(model, x0, epsilon=float(epsilon), steps=steps, **how)
            distance[str(steps)][str(epsilon)] = kolmogorov(np.asarray(x1, np.float64)[:, 0], *END)
    return {"distance": distance, "worst": max(distance[str(settings["exact_steps"][-1])].values())}


class Draws(eqx.Module):
    """`n` fresh draws of a law, for `FromFunction`."""

    law: Any
    n: int = eqx.field(static=True)

    def __call__(self, key: Array) -> Array:
        """The draws, (n, D)."""
        return jax.vmap(self.law.sample)(jr.split(key, self.n))


def network(settings: dict[str, Any], size: int, key: Any) -> ScoreMLP:
    """The network that every arm of a study has, by the dimension."""
    width, depth = settings["network"][str(size)]
    return ScoreMLP(size, width=width, depth=depth, key=key)


def train(model: Any, source: Any, settings: dict[str, Any], study: str, seed: int, loss: Any) -> tuple[Any, list]:
    """The average of the weights after training, and the loss thinned to 60 points."""
    steps = settings[f"{study}_steps"]
    update = make_update(loss, settings["learning_rate"][study], steps, settings["ema"])
    result = fit(update, model, source, steps=steps, key=jr.key(seed), block=min(steps, 250))
    return result.state.averaged, thin(result.history["loss"])


def line_study(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Learned fields between two mixtures: their errors, the KL of the ODE and, by Fokker-Planck, of every SDE."""
    exact, two = exact_model(arm), arm != "no-gamma"
    keys = jr.split(jr.fold_in(jr.key(seed), 7), 2)
    networks = tuple(network(settings, 1, k) for k in keys[: 2 if two else 1])
    stds = [float(np.sqrt(law(end).covariance[0, 0])) for end in (START, END)]
    pair = VelocityNoise() if two else VelocityOnly()
    model = InterpolantModel(PATHS[arm], networks, pair, std0=stds[0], std1=stds[1])
    # Without latent noise the antithetic pair would see one point twice: twice the pairs instead.
    batch = settings["batch"] * (1 if two else 2)
    source = CoupledBatches(FromFunction(Draws(law(START), batch)), FromFunction(Draws(law(END), batch)))
    model, curve = train(model, source, settings, "line", seed, InterpolantLoss(antithetic=two))
    grid = np.linspace(-REACH, REACH, settings["cells"] + 1)
    grid = 0.5 * (grid[1:] + grid[:-1])
    figures: dict[str, Any] = {"curve": curve, **_errors(model, exact, grid, settings)}
    log_p = np.asarray(jax.vmap(law(END).log_prob)(jnp.asarray(grid[:, None])), np.float64)
    coarse = grid[:: settings["every"]]
    points = jnp.asarray(coarse[:, None])
    ode = interpolant_log_prob(model, points, law(START).log_prob, steps=settings["ode_steps"])
    width = float(grid[1] - grid[0])
    figures["kl_ode"] = kl_on_grid(log_p[:: settings["every"]], np.asarray(ode, np.float64), width * settings["every"])
    figures["density"] = {"x": coarse.tolist(), "exact": np.exp(log_p[:: settings["every"]]).tolist(),
                          "ode": np.exp(np.asarray(ode, np.float64)).tolist()}  # fmt: skip
    if two:
        figures |= _sde_laws(model, figures, grid, log_p, settings)
    figures.pop("errors", None)
    return figures


@eqx.filter_jit
def fields(model: Any, times: Array, points: Array) -> Any:
    """(b, s) of all times and points (points, 1), each (times, points)."""

    def at(t: Array) -> Any:
        reading = jax.vmap(lambda x: model.read(t, x))(points)
        return jax.tree.map(lambda v: v[:, 0], reading)

    return jax.lax.map(at, times)


def _errors(model: Any, exact: Any, grid: np.ndarray, settings: dict[str, Any]) -> dict[str, Any]:
    """Errors of the fields against exact ones, integrated over the exact density at times dense near both ends."""
    u = (np.arange(settings["error_times"]) + 0.5) / settings["error_times"]
    times, points = jnp.asarray(np.sin(0.5 * np.pi * u) ** 2), jnp.asarray(grid[:, None])
    density = np.exp(np.asarray(_log_density(exact, times, points), np.float64)) * (grid[1] - grid[0])
    found, truth = (jax.tree.map(np.asarray, fields(m, times, points)) for m in (model, exact))
    mean = lambda values: jnp.asarray(np.sum(density * values, axis=1))  # noqa: E731
    off_b = found.velocity - truth.velocity
    energy = mean(truth.velocity**2)
    relative = float(jnp.trapezoid(mean(off_b**2), times) / jnp.trapezoid(energy, times))
    figures: dict[str, Any] = {"b_error": relative}
    if found.score is not None:
        off_s = found.score - truth.score
        figures["errors"] = FieldErrors(times, mean(off_b**2), mean(off_s**2), mean(off_b * off_s))
    return figures


@eqx.filter_jit
def _log_density(exact: Any, times: Array, points: Array) -> Array:
    return jax.lax.map(lambda t: jax.vmap(lambda x: exact.log_prob(t, x))(points), times)


def _sde_laws(
    model: Any, figures: dict[str, Any], grid: np.ndarray, log_p: np.ndarray, settings: dict[str, Any]
) -> dict[str, Any]:
    """KL at t = 1 against its bound for every ε, ε* among them."""
    errors, width = figures["errors"], float(grid[1] - grid[0])
    points, times = jnp.asarray(grid[:, None]), stage_times(settings["fokker_planck_steps"])
    read = fields(model, jnp.asarray(times.ravel()), points)
    b, s = (np.asarray(v, np.float64).reshape(*times.shape, -1) for v in (read.velocity, read.score))
    start = np.exp(np.asarray(jax.vmap(law(START).log_prob)(points), np.float64))
    star = float(errors.best_epsilon())
    kl, bound, ends = {}, {}, {}
    for epsilon in [*map(float, settings["epsilons"]), star]:
        end = fokker_planck(start, b + epsilon * s, epsilon, width)
        kl[epsilon] = kl_on_grid(log_p, np.log(np.maximum(end, 1e-30)), width)
        bound[epsilon] = float(errors.kl_bound(epsilon))
        ends[epsilon] = end
    sweep = [e for e in kl if e != star]
    figures["density"]["sde"] = ends[star][:: settings["every"]].tolist()
    return {
        "epsilon_star": star, "epsilon_best": min(sweep, key=lambda e: kl[e]), "kl_star": kl[star],
        "kl": {str(e): kl[e] for e in sweep}, "bound": {str(e): bound[e] for e in sweep},
        "ratio": max(kl[e] / bound[e] for e in kl), "star_over_best": kl[star] / min(kl[e] for e in sweep),
    }  # fmt: skip


def board_study(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """From a normal law to the checkerboard: share inside the squares, sliced W2, likelihood."""
    # The objective of a one-sided path by its velocity IS flow matching: the baseline is another network.
    seed = seed + 1000 if arm == "flow-matching" else seed
    board, n = Checkerboard(jnp.asarray(2.0)), settings["samples"]
    draws, std = FromFunction(Draws(board, settings["batch"])), float(4 / np.sqrt(3))
    keys = jr.split(jr.fold_in(jr.key(seed), 11), 2)
    if arm == "two-sided":
        model = InterpolantModel(Linear(), tuple(network(settings, 2, k) for k in keys), std1=std)
        source: Any = CoupledBatches(FromFunction(Normals(settings["batch"])), draws)
        model, curve = train(model, source, settings, "board", seed, InterpolantLoss())
    else:
        # Twice the batch: the antithetic pair of the two-sided arm sees two points for each pair.
        draws = FromFunction(Draws(board, 2 * settings["batch"]))
        denoiser = Denoiser(network=network(settings, 2, keys[0]), schedule=Flow(), prediction=Velocity(), data_std=std)
        denoiser, curve = train(denoiser, draws, settings, "board", seed, DenoisingLoss(weighting=Native()))
        model = OneSided(denoiser)
    key = jr.fold_in(jr.key(seed), 13)
    start, truth = jr.normal(jr.fold_in(key, 0), (n, 2)), Draws(board, n)(jr.fold_in(key, 1))
    ends = {"ode": sample_interpolant(model, start, steps=settings["sde_steps"])}
    for i, level in enumerate(settings["board_epsilons"] if arm != "flow-matching" else ()):
        # The score grows like 1/(1 - t), so ε falls like 1 - t: the reverse SDE's own choice, up to a factor.
        epsilon = TabulatedEpsilon(jnp.array([0.0, 1.0]), jnp.array([level, 0.0]))
        ends[f"sde-{round(100 * level)}"] = sample_interpolant(
            model, start, key=jr.fold_in(key, 2 + i), epsilon=epsilon, steps=settings["sde_steps"], **HEUN
        )  # fmt: skip
    log_prob = jax.jit(jax.vmap(board.log_prob))
    sliced = {name: debiased(_sliced, x, truth, key=jr.key(1), repeats=8) for name, x in ends.items()}
    figures: dict[str, Any] = {}
    if settings["likelihoods"]:
        points = truth[: settings["likelihoods"]]
        log_prob_of = interpolant_log_prob(model, points, standard_normal, steps=settings["ode_steps"])
        figures["nll_gap"] = float(-jnp.mean(log_prob_of) - np.log(32))
    return figures | {
        "curve": curve,
        "inside": {name: float(jnp.mean(jnp.isfinite(log_prob(x)))) for name, x in ends.items()},
        "sliced": {name: estimate.value for name, estimate in sliced.items()},
        "sliced_error": {name: estimate.standard_error for name, estimate in sliced.items()},
        "samples": n,
        "points": {name: np.round(np.asarray(x[:800], np.float64), 3).tolist() for name, x in ends.items()},
    }


def _sliced(a: Array, b: Array) -> Array:
    return sliced_wasserstein(a, b, key=jr.key(0))


class Normals(eqx.Module):
    """`n` standard normal points of the plane."""

    n: int = eqx.field(static=True)

    def __call__(self, key: Array) -> Array:
        """The points."""
        return jr.normal(key, (self.n, 2))


def bridge_study(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Between two Gaussians: do the SDE's own ends have the covariance of the Schrödinger bridge?"""
    from scipy.stats import norm

    a, b, epsilon = 1.0, 4.0, settings["bridge_epsilon"]
    quantiles = jnp.asarray(norm.ppf((np.arange(settings["coupled"]) + 0.5) / settings["coupled"]))
    x0, x1 = a**0.5 * quantiles[:, None], b**0.5 * quantiles[:, None]
    keys = jr.split(jr.fold_in(jr.key(seed), 17), 20)
    if arm == "bridge":
        couple = eqx.filter_jit(EntropicOT(epsilon, iterations=2000, tolerance=1e-3))
        pairs = [couple(x0, x1, k) for k in keys[:16]]
    else:
        pairs = [(x0, jr.permutation(k, x1)) for k in keys[:16]]
    source = Batches(tuple(jnp.concatenate(end) for end in zip(*pairs, strict=True)), settings["batch"])
    networks = tuple(network(settings, 1, k) for k in keys[16:18])
    model = InterpolantModel(Linear(BrownianGamma(2 * epsilon)), networks, std0=a**0.5, std1=b**0.5)
    model, curve = train(model, source, settings, "bridge", seed, InterpolantLoss())
    start = a**0.5 * jr.normal(keys[18], (settings["particles"], 1))
    end = sample_interpolant(model, start, key=keys[19], epsilon=epsilon, steps=settings["sde_steps"], **HEUN)
    covariance, _ = bridge(a, b, epsilon)
    found = float(jnp.mean((start - start.mean()) * (end - end.mean())))
    return {
        "curve": curve,
        "covariance": found,
        "exact": covariance,
        "covariance_error": abs(found / covariance - 1),
        "variance_error": abs(float(jnp.var(end)) / b - 1),
    }
