"""Physics-informed networks: u is a network whose residual is made small at points.

    L(θ) = λ_r mean_i w_i |residual(u_θ)(x_i)|² + Σ_c λ_c mean_j |condition_c(u_θ)(y_cj)|² + λ_d mean |u_θ - data|²

Raissi, Perdikaris, Karniadakis, Physics-informed neural networks (2019).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import PyTree

from cadlag.physics._ansatz import AbstractAnsatz
from cadlag.physics._chunks import usual_chunk
from cadlag.physics._collocation import Unknowns
from cadlag.physics._loss import PhysicsLoss, WeightState
from cadlag.physics._method import AbstractMethod, Task, Trained, check_problem, collocate
from cadlag.physics._networks import mlp
from cadlag.physics._phases import AbstractPhase, Adam
from cadlag.physics._point_weights import AbstractPointWeights
from cadlag.physics._sampling import AbstractSampler, CollocationSource, Uniform
from cadlag.physics._weights import AbstractTermWeights, FixedWeights
from cadlag.train import Ending, Outcome, fit


class PINN(AbstractMethod):
    """A network trained on residuals at collocation points.

    **Arguments:**

    - `network`: constructor `(domain, components, *, key)`: `mlp` (default), `modified_mlp`, `siren`, with options by
      `functools.partial`; or any function that makes a module `point (d,) -> scalar or (components,)`.
    - `sampler`: of points inside; `Uniform(1024)` by default, `Sobol`, `TensorGrid`, `TimeSlices`,
      `ResidualAdaptive`.
    - `on_faces`: points for each group of conditions that share a residual, spread over its faces.
    - `resample_every`: steps that one draw serves; None: one draw for the whole phase.
    - `weights`: of the terms; `FixedWeights()` by default, `GradientNormWeights()`, `NTKWeights()`.
    - `point_weights`: of the residual point by point; None: all equal.
    - `ansatz`: forms that satisfy conditions exactly, applied in order: `(HardDirichlet(), HardInitial())`. By default
      conditions are terms of the loss.
    - `phases`: what optimises, in order; `(Adam(),)` by default, `(Adam(5000), LBFGS(500))`.
    - `hooks`: for `cadlag.train.fit`, called after every block of steps of every phase.
    - `block`: steps between two looks of the host.
    - `chunk`: points inside that are evaluated at a time, which bounds memory; None: 256 on a CPU, all elsewhere.

    Matrix products have precision "highest".
    """

    network: Callable
    sampler: AbstractSampler
    on_faces: int
    resample_every: int | None
    weights: AbstractTermWeights
    point_weights: AbstractPointWeights | None
    ansatz: tuple[AbstractAnsatz, ...]
    phases: tuple[AbstractPhase, ...]
    hooks: tuple[Callable, ...]
    block: int
    chunk: int | None

    def __init__(
        self,
        network: Callable = mlp,
        *,
        sampler: AbstractSampler = Uniform(),
        on_faces: int = 256,
        resample_every: int | None = 1,
        weights: AbstractTermWeights = FixedWeights(),
        point_weights: AbstractPointWeights | None = None,
        ansatz: AbstractAnsatz | tuple[AbstractAnsatz, ...] = (),
        phases: AbstractPhase | tuple[AbstractPhase, ...] = Adam(),
        hooks: tuple[Callable, ...] = (),
        block: int = 100,
        chunk: int | None = None,
    ):
        self.network, self.sampler, self.on_faces, self.resample_every = network, sampler, on_faces, resample_every
        self.weights, self.point_weights, self.hooks = weights, point_weights, hooks
        self.block, self.chunk = block, chunk
        self.ansatz = ansatz if isinstance(ansatz, tuple) else (ansatz,)
        self.phases = phases if isinstance(phases, tuple) else (phases,)

    def check(self, task: Task) -> None:
        """Settings that no problem could use."""
        if not self.phases:
            raise ValueError("phases=() of PINN: there is nothing to train; give (Adam(10_000),).")
        for name in ("on_faces", "block", "resample_every", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} of PINN must be at least 1.")

    def solve(self, task: Task) -> Trained:
        """Train through all phases; a failed phase ends it with the last finite state."""
        problem, coefficients = collocate(task, self.ansatz)
        unknowns = Unknowns(self._network(task), coefficients)
        parts = check_problem(problem, unknowns)
        faces = problem.faces(unknowns)
        chunk = usual_chunk() if self.chunk is None else self.chunk
        loss = PhysicsLoss(problem, tuple(face.kind for face in faces), parts, self.point_weights, chunk)
        settled = loss.init(self.weights, self.sampler.count)
        for phase in self.phases:
            phase.check(loss, unknowns)
        trained, histories = Trained(unknowns, problem, {}, Ending(Outcome.finished, 0)), []
        for number, phase in enumerate(self.phases):
            trained, settled = self._train(task, number, phase, loss, trained, settled, faces)
            histories.append(trained.history)
            if trained.result.outcome is Outcome.non_finite:
                break
        return Trained(trained.unknowns, problem, joined(histories), trained.result)

    def _network(self, task: Task) -> Any:
        network = self.network(task.equation.domain, task.equation.components, key=jr.fold_in(task.key, 0))
        return jax.tree.map(lambda x: x.astype(task.dtype) if eqx.is_inexact_array(x) else x, network)

    def _train(
        self,
        task: Task,
        number: int,
        phase: AbstractPhase,
        loss: PhysicsLoss,
        before: Trained,
        settled: WeightState,
        faces: PyTree,
    ) -> tuple[Trained, WeightState]:
        every = self.resample_every if phase.resamples else None
        source = CollocationSource(before.problem, self.sampler, faces, self.on_faces, every)
        run = None if task.run is None else Path(task.run) / f"phase-{number}"
        result = fit(
            phase.update(loss, self.weights, settled), before.unknowns, source, steps=phase.steps,
            key=jr.fold_in(task.key, 1 + number), model_state=settled, block=min(self.block, phase.steps),
            run=run, hooks=self.hooks, progress=task.progress, throw=task.throw,
        )  # fmt: skip
        state = result.state
        after = settled if state.model_state is None else state.model_state
        return Trained(state.unknowns, before.problem, result.history, result.result), after


def joined(histories: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """One history from those of several phases, steps counted on; NaN where a phase did not log a name."""
    names = dict.fromkeys(name for history in histories for name in history)
    taken, rows = 0, {name: [] for name in names}
    for history in histories:
        n = len(history["step"])
        for name in names:
            values = history.get(name, np.full(n, np.nan))
            rows[name].append(values + taken if name == "step" else values)
        taken += int(history["step"][-1]) if n else 0
    return {name: np.concatenate(parts) for name, parts in rows.items()}
