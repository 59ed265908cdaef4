"""What the one entry refuses, and how it says so."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.equations import geometric_brownian_motion
from cadlag.paths import BrownianGrid, BrownianTree, linear
from cadlag.solve import (
    CDE,
    ODE,
    SDE,
    SRK,
    AdaptiveSteps,
    Calculus,
    EulerMaruyama,
    FixedSteps,
    Heun,
    Milstein,
    NoiseKind,
    Reversible,
    ReversibleHeun,
    solve,
)

KEY = jax.random.key(0)
DECAY = ODE(lambda t, y, a: -y)
GBM = geometric_brownian_motion(0.1, 0.5)
STRATONOVICH = SDE(lambda t, y, a: y, lambda t, y, a: y, NoiseKind.diagonal, Calculus.stratonovich)
MATRIX = SDE(lambda t, y, a: y, lambda t, y, a: jnp.ones((2, 3)), NoiseKind.operator)
Y = jnp.ones(2)
UNIT = [0.0, 1.0]
TREE = BrownianTree(0.0, 1.0, (2,), tol=1e-4, key=KEY)

REFUSED = {
    "integer state": (lambda: solve(DECAY, jnp.ones(2, int), UNIT), TypeError, "must be of floating"),
    "nan time": (lambda: solve(DECAY, Y, [0.0, np.nan]), ValueError, "NaN or infinite"),
    "zigzag": (lambda: solve(DECAY, Y, [0.0, 2.0, 1.0]), ValueError, "must be monotone"),
    "batch": (lambda: solve(DECAY, Y, np.zeros((3, 2))), ValueError, "jax.vmap"),
    "one time": (lambda: solve(DECAY, Y, [0.0]), ValueError, "at least two"),
    "steps": (lambda: solve(DECAY, Y, UNIT, steps=0), ValueError, "positive integer"),
    "grid ends": (lambda: solve(DECAY, Y, UNIT, steps=FixedSteps([0.0, 2.0])), ValueError, "FixedSteps goes from"),
    "drift shape": (lambda: solve(ODE(lambda t, y, a: y[0]), Y, UNIT), ValueError, r"drift has shape \(\).*\(2,\)"),
    "no key": (lambda: solve(GBM.process, Y, UNIT), ValueError, "pass `key`"),
    "driver of ODE": (lambda: solve(DECAY, Y, UNIT, driver=TREE), ValueError, "takes no driver"),
    "diffusion shape": (
        lambda: solve(SDE(lambda t, y, a: y, lambda t, y, a: jnp.ones((2, 3))), Y, UNIT, key=KEY),
        ValueError, r"shape \(2, 3\) for noise of kind diagonal, and the state has shape \(2,\)"),
    "operator shape": (
        lambda: solve(SDE(lambda t, y, a: y, lambda t, y, a: jnp.ones(2), NoiseKind.operator), Y, UNIT, key=KEY),
        ValueError, r"shape \(2,\) for noise of kind operator.*Expected \(state, noise\)"),
    "driver shape": (
        lambda: solve(GBM.process, Y, UNIT, driver=BrownianGrid(UNIT, (3,), key=KEY)),
        ValueError, r"driver has shape \[\(3,\)\].*kind diagonal.*\[\(2,\)\]"),
    "path shape": (
        lambda: solve(CDE(lambda t, y, a: jnp.ones((2, 3))), Y, UNIT, driver=linear(jnp.arange(2.0), jnp.ones((2, 2)))),
        ValueError, r"driver has shape \[\(2,\)\]"),
    "driver type": (lambda: solve(GBM.process, Y, UNIT, driver=3.0), TypeError, "expected a noise or a path"),
    "Heun for Itô": (lambda: solve(GBM.process, Y, UNIT, key=KEY, stepper=Heun()), ValueError, "Stratonovich solution"),
    "Euler for Stratonovich": (
        lambda: solve(STRATONOVICH, Y, UNIT, key=KEY, stepper=EulerMaruyama()), ValueError, "Itô solution"),
    "Milstein for operator": (
        lambda: solve(MATRIX, Y, UNIT, key=KEY, stepper=Milstein()), ValueError, "kind operator"),
    "Runge-Kutta for noise": (
        lambda: solve(MATRIX, Y, UNIT, key=KEY, stepper=diffrax.Tsit5()), ValueError, "not a solver for stochastic"),
    "SRK of a path": (
        lambda: solve(SDE(lambda t, y, a: y, lambda t, y, a: y), Y, UNIT, stepper=SRK(),
                      driver=linear(jnp.arange(2.0), jnp.ones((2, 2)))), ValueError, "one Brownian driver"),
    "SRK backwards": (
        lambda: solve(GBM.process, Y, UNIT[::-1], key=KEY, stepper=SRK()), ValueError, "does not step backwards"),
    "SPaRK for Itô": (
        lambda: solve(GBM.process, Y, UNIT, key=KEY, stepper=diffrax.SPaRK()), ValueError, "Stratonovich solution"),
    "ItoMilstein for Stratonovich": (
        lambda: solve(STRATONOVICH, Y, UNIT, key=KEY, stepper=diffrax.ItoMilstein()), ValueError, "Itô solution"),
    "adaptive Itô operator": (
        lambda: solve(MATRIX, Y, UNIT, key=KEY, steps=AdaptiveSteps(dt0=0.1)), ValueError, "drift correction"),
    "adaptive without dt0": (
        lambda: solve(GBM.process, Y, UNIT, key=KEY, steps=AdaptiveSteps()), ValueError, "needs dt0"),
    "adaptive with ours": (
        lambda: solve(DECAY, Y, UNIT, stepper=Heun(), steps=AdaptiveSteps()), ValueError, "takes fixed steps"),
    "grid noise adaptive": (
        lambda: solve(GBM.process, Y, UNIT, steps=AdaptiveSteps(dt0=0.1), driver=BrownianGrid(UNIT, (2,), key=KEY)),
        ValueError, "BrownianTree"),
    "reversible Euler": (
        lambda: solve(DECAY, Y, UNIT, stepper=EulerMaruyama(), adjoint=Reversible()), ValueError, "ReversibleHeun"),
    "between with memory": (
        lambda: solve(DECAY, Y, UNIT, stepper=ReversibleHeun(), between=lambda t, y, k: y), ValueError, "remembers"),
    "stepper type": (lambda: solve(DECAY, Y, UNIT, stepper="euler"), TypeError, "stepper is a str"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_at_the_door(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()


def test_a_driver_of_another_precision_is_refused():
    process = SDE(lambda t, y, a: -y, lambda t, y, a: y)
    driver = BrownianGrid(jnp.linspace(0.0, 1.0, 5), (2,), key=jax.random.key(0))
    with pytest.raises(TypeError, match=r"driver is of dtype \['float64'\].*\['float32'\]"):
        solve(process, jnp.ones(2, jnp.float32), driver.step_grid, driver=driver)
