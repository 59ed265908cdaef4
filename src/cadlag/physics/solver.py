"""`EquationSolver`: an equation in, its solution out, no data needed; unknown coefficients from observations."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from cadlag.equations import AbstractEquation
from cadlag.physics._collocation import Observations, Unknowns
from cadlag.physics._method import AbstractMethod, Task, check_problem, collocate
from cadlag.physics._pinn import PINN
from cadlag.physics._solution import Solution, measured
from cadlag.train import Ending, Estimator, load, require_x64, save

KIND = "equation solver"


class EquationSolver(Estimator):
    """Solve an equation with its conditions: `EquationSolver(equation).solve()`.

    **Arguments:**

    - `equation`: from `cadlag.equations`, or `Equation(domain, residual_of, given)` of your own.
    - `method`: how; default `PINN()`.
    - `observations`: `Observations(points, values)`, or a pair of arrays; fitted together with the equation.
    - `learn`: which of the equation's numbers are unknown and estimated from the observations: a function
      equation → leaf or tuple of leaves, or True for all of them; None: none.
    - `reference`: a solution to compare with: a function of the coordinates, a field, or a `Simulation`; default the
      equation's own `exact`. It is never trained on.
    - `dtype`: "float32" or "float64"; default what JAX is set to.
    - `seed`: of weights and points. `run`: folder for checkpoints; solving again with the same settings resumes.
      `progress`: a display, `cadlag.train.progress()`.
    - `throw`: False returns the last finite state of a training that diverged, with `solution.result` saying so,
      instead of raising `NonFiniteLoss`.
    """

    def __init__(
        self,
        equation: AbstractEquation,
        method: AbstractMethod | None = None,
        *,
        observations: Any = None,
        learn: Any = None,
        reference: Any = None,
        dtype: str | None = None,
        seed: int = 0,
        run: Any = None,
        progress: Any = None,
        throw: bool = True,
    ):
        self.equation, self.method, self.observations, self.learn = equation, method, observations, learn
        self.reference, self.dtype, self.seed = reference, dtype, seed
        self.run, self.progress, self.throw = run, progress, throw

    def fit(self, X: Any = None, y: Any = None) -> "EquationSolver":
        """Solve; sets `model_` (network and learnt coefficients) and `solution_`, returns itself. X and y are not
        used.

        **Raises:** `ValueError` for a residual, network or condition that does not fit the equation, too few points,
        observations that are not finite; `NonFiniteLoss` when training diverges.
        """
        task = self._task()
        method = PINN() if self.method is None else self.method
        method.check(task)
        trained = method.solve(task)
        self.model_, self.problem_ = trained.unknowns, trained.problem
        self.solution_ = measured(trained.problem, trained.unknowns, trained.history, trained.result, self.reference)
        return self

    def solve(self) -> Solution:
        """Solve, and return the solution."""
        return self.fit().solution_

    def predict(self, X: Any) -> np.ndarray:
        """u at points (n, d): (n,) or (n, components)."""
        self.check_is_fitted()
        return self.solution_.predict(X)

    def save(self, path: str | os.PathLike) -> None:
        """Write the solution to a folder: network, learnt coefficients, form, history. The equation is not saved, as
        its functions are code; hand it to `load`.
        """
        self.check_is_fitted()
        problem = self.problem_
        content = {
            "kind": KIND, "network": self.model_.network, "coefficients": jax.tree.leaves(self.model_.coefficients),
            "ansatz": problem.ansatz, "dtype": problem.dtype, "seed": self.seed,
            "history": self.solution_.history, "step": self.solution_.result.step,
            "outcome": self.solution_.result.outcome,
        }  # fmt: skip
        save(path, content)

    @classmethod
    def load(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        path: str | os.PathLike,
        parts: Mapping[str, Any] | None = None,
        *,
        equation: AbstractEquation | None = None,
        learn: Any = None,
    ) -> "EquationSolver":
        """Read a saved solution. **Arguments:** `equation` that was solved, and `learn` where coefficients were."""
        content = load(path, parts)
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise ValueError(f"EquationSolver.load: {path} holds no solution of an equation.")
        if equation is None:
            raise ValueError("EquationSolver.load: pass equation=, the one that was solved; it is not in the folder.")
        solver = cls(equation, learn=learn, dtype=content["dtype"], seed=content["seed"])
        return solver._restore(content)

    def _restore(self, content: dict[str, Any]) -> "EquationSolver":
        task = Task(self.equation, None, self.learn, jr.key(self.seed), content["dtype"])
        problem, template = collocate(task, content["ansatz"])
        leaves, tree = jax.tree.flatten(template)
        if len(leaves) != len(content["coefficients"]):
            raise ValueError(
                f"EquationSolver.load: {len(content['coefficients'])} coefficients were learnt, and learn= chooses "
                f"{len(leaves)} of the equation's; pass the learn= of the solver that was saved."
            )
        unknowns = Unknowns(content["network"], jax.tree.unflatten(tree, content["coefficients"]))
        check_problem(problem, unknowns)
        ending = Ending(content["outcome"], content["step"])
        self.model_, self.problem_ = unknowns, problem
        self.solution_ = measured(problem, unknowns, content["history"], ending, self.reference)
        return self

    def _task(self) -> Task:
        if not isinstance(self.equation, AbstractEquation):
            raise TypeError(
                f"equation: got {type(self.equation).__name__}; expected one of cadlag.equations, or "
                "Equation(domain=..., residual_of=..., given=...)."
            )
        dtype = str(jnp.zeros(()).dtype) if self.dtype is None else str(self.dtype)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype={self.dtype!r} of EquationSolver; expected 'float32' or 'float64'.")
        if dtype == "float64":
            require_x64("EquationSolver(dtype='float64')")
        observations = self.observations
        if observations is not None and not isinstance(observations, Observations):
            observations = Observations(*observations)
        if self.learn and observations is None:
            raise ValueError("learn: coefficients are estimated from observations; give observations=(points, values).")
        return Task(
            self.equation, observations, self.learn, jr.key(self.seed), dtype, self.run, self.progress, self.throw
        )
