"""What `solver-regularised` and `locally-regularised` measure: neural ODEs on digits, and stochastic equations.

An image x ∈ R^64 is the state at time 0 of dz/dt = f(t, z), read off at time 1 by an affine map. A batch is one state
of one equation, as published, so that it has one sequence of steps. Evaluations are counted on the test images.
"""

import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from cadlag.recipes._curve import thin
from cadlag.solve import (
    ODE,
    AdaptiveSteps,
    Annealed,
    Backsolve,
    Biased,
    Direct,
    ErrorPenalty,
    LocalPenalty,
    StiffnessPenalty,
    Unbiased,
    regularised_solve,
    solve,
)

GLOBAL = ("error", "stiffness")
LOCAL = ("local-unbiased", "local-biased", "local-backsolve")


class Field(eqx.Module):
    """tanh(W2 [tanh(W1 [z, t] + b1), t] + b2) on a batch of states."""

    first: eqx.nn.Linear
    second: eqx.nn.Linear

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        """The vector field at a batch (batch, size)."""
        time_row = jnp.broadcast_to(t, (y.shape[0], 1)).astype(y.dtype)
        hidden = jnp.tanh(_affine(self.first, jnp.concatenate([y, time_row], axis=1)))
        return jnp.tanh(_affine(self.second, jnp.concatenate([hidden, time_row], axis=1)))


class DigitsODE(eqx.Module):
    """A neural ODE on [0, 1] and an affine readout."""

    field: Field
    head: eqx.nn.Linear

    def __init__(self, width: int, *, key: Any):
        k1, k2, k3 = jr.split(key, 3)
        dtype = jnp.float64
        first = eqx.nn.Linear(65, width, key=k1, dtype=dtype)
        self.field = Field(first, eqx.nn.Linear(width + 1, 64, key=k2, dtype=dtype))
        self.head = eqx.nn.Linear(64, 10, key=k3, dtype=dtype)

    def solve(self, x: Any, steps: AdaptiveSteps, stats: bool = False) -> Any:
        """The states of a batch (batch, 64), without any penalty."""
        return solve(ODE(self.field), x, [0.0, 1.0], steps=steps, stats=stats)

    def regularised(
        self, x: Any, steps: AdaptiveSteps, end: Any, penalty: Any, adjoint: Any, key: Any
    ) -> tuple[Any, Any]:
        """States at `end`, and the penalty (0 without one)."""
        ends = jnp.stack([jnp.zeros_like(end), end])
        how: Any = {"steps": steps, "adjoint": adjoint, "throw": False}
        if penalty is None:
            return solve(ODE(self.field), x, ends, **how).y1, jnp.zeros_like(end)
        found, value = regularised_solve(ODE(self.field), x, ends, penalty=penalty, key=key, **how)
        return found.y1, value


def _affine(layer: eqx.nn.Linear, x: Any) -> Any:
    return jnp.matmul(x, layer.weight.T) + layer.bias[None]  # pyright: ignore[reportOptionalSubscript]


def penalty_of(arm: str, settings: dict[str, Any]) -> Any:
    """The penalty of an arm, annealed as published; None for `plain` and `steer`."""
    if arm not in (*GLOBAL, *LOCAL):
        return None
    start, end = settings["weights"][arm]
    weight = Annealed(start, end, settings["steps"])
    if arm == "stiffness":
        return StiffnessPenalty(weight=weight)
    if arm == "error":
        return ErrorPenalty(weight=weight)
    return LocalPenalty(of=ErrorPenalty(weight=weight), sampling=Biased() if arm == "local-biased" else Unbiased())


def digits_parts(seed: int, hold_out: bool) -> dict[str, Any]:
    """Pixels in [0, 1] as rows and labels, stratified: 1437 to train on, 360 to judge by.

    With `hold_out`, as for tuning, a fifth of the training part is judged by instead, and the 360 are not looked at.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    x, y = np.asarray(pixels) / 16.0, np.asarray(labels).astype(np.int32)
    x, xt, y, yt = train_test_split(x, y, test_size=360, stratify=y, random_state=seed)
    if hold_out:
        x, xt, y, yt = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    return {"train": (x, y), "test": (xt, yt)}


def digits(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one network; accuracy, evaluations before and after, times."""
    from cadlag.data import Batches
    from cadlag.train import fit, gradient

    parts = digits_parts(seed, settings["hold_out"])
    steps = AdaptiveSteps(rtol=settings["tolerance"], atol=settings["tolerance"], max_steps=settings["max_steps"])
    model = DigitsODE(settings["width"], key=jr.key(seed))
    x, truth = (jnp.asarray(a) for a in parts["test"])
    before = evaluate(model, x, truth, steps)
    adjoint = Backsolve() if arm == "local-backsolve" else Direct()
    loss = Loss(steps, penalty_of(arm, settings), adjoint, settings["steer"] if arm == "steer" else 0.0)
    update = gradient(loss, optax.adam(settings["learning_rate"]), stateful=True)
    source = Batches(parts["train"], settings["batch_size"])
    block = min(settings["block"], settings["steps"])
    clock = Clock()
    result = fit(
        update, model, source, steps=settings["steps"], key=jr.key(seed), block=block, hooks=[clock],
        model_state=jnp.zeros((), jnp.int32), validate_every=block,
        validate=lambda state, key: clock.pause(lambda: {"nfe": evaluate(state.unknowns, x, truth, steps)["nfe"]}),
    )  # fmt: skip
    after = evaluate(result.state.unknowns, x, truth, steps)
    history = result.history
    looks = ~np.isnan(history["nfe"])
    return {
        "accuracy": after["accuracy"],
        "nfe": after["nfe"],
        "nfe_untrained": before["nfe"],
        "seconds_of_prediction": predict_time(result.state.unknowns, x, steps),
        "seconds_a_step": clock.per_step(block),
        "loss": thin(history["task"]),
        "penalty": thin(history["penalty"]),
        "nfe_curve": {"step": history["step"][looks].tolist(), "nfe": history["nfe"][looks].tolist()},
    }


class Loss(eqx.Module):
    """Cross-entropy of a batch and the penalty; the state counts the steps, which weights follow."""

    steps: AdaptiveSteps
    penalty: Any
    adjoint: Any
    steer: float = eqx.field(static=True)

    def __call__(self, model: DigitsODE, count: Any, batch: Any, key: Any) -> Any:
        """The loss, and the count with what is logged."""
        x, labels = batch
        k1, k2 = jr.split(key)
        # STEER (Ghosh et al., NeurIPS 2020): the end of the interval is random in training.
        end = 1.0 + self.steer * jr.uniform(k1, (), x.dtype, -1.0, 1.0)
        penalty = None if self.penalty is None else self.penalty.at(count)
        states, value = model.regularised(x, self.steps, end, penalty, self.adjoint, k2)
        logits = _affine(model.head, states)
        task = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))
        return task + value, (count + 1, {"task": task, "penalty": value})


class Clock:
    """Seconds of training a block, without the first, which compiles, and without validation."""

    def __init__(self):
        self.blocks, self.last, self.away = [], None, 0.0

    def __call__(self, state: Any, info: Any) -> Any:
        """Called by `fit` after each block."""
        now = time.perf_counter()
        if self.last is not None:
            self.blocks.append(now - self.last - self.away)
        self.last, self.away = now, 0.0
        return state

    def pause(self, look: Any) -> Any:
        """Do something else meanwhile."""
        start = time.perf_counter()
        found = look()
        self.away += time.perf_counter() - start
        return found

    def per_step(self, block: int) -> float | None:
        """Median seconds of a step; None after a single block."""
        return float(np.median(self.blocks)) / block if self.blocks else None


def evaluate(model: DigitsODE, x: Any, truth: Any, steps: AdaptiveSteps) -> dict[str, float]:
    """Share of right classes, and evaluations of the field for the whole batch."""
    logits, nfe = _predict(model, x, steps)
    return {"accuracy": float(jnp.mean(jnp.argmax(logits, axis=1).astype(truth.dtype) == truth)), "nfe": int(nfe)}


@eqx.filter_jit
def _predict(model: DigitsODE, x: Any, steps: AdaptiveSteps) -> tuple[Any, Any]:
    solution = model.solve(x, steps, stats=True)
    return _affine(model.head, solution.y1), solution.stats.evaluations


def predict_time(model: DigitsODE, x: Any, steps: AdaptiveSteps, repeats: int = 7) -> float:
    """Median seconds of one prediction of the test images."""
    run = lambda m, z: _predict(m, z, steps)  # noqa: E731
    jax.block_until_ready(run(model, x))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run(model, x))
        times.append(time.perf_counter() - start)
    return float(np.median(times))
