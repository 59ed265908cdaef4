"""Drivers: made and checked, and their increments over the steps of a fixed grid."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.paths import AbstractPath
from cadlag.paths.noise import AbstractNoise, BrownianGrid, BrownianTree
from cadlag.solve._process import AbstractProcess, NoiseKind, diffusion_struct, kinds_of
from cadlag.solve._steps import concrete


def make_drivers(
    process: AbstractProcess,
    y0: Any,
    args: Any,
    driver: Any,
    key: Any,
    grid: Any,
    ts: Array,
    adaptive: Any = None,
) -> tuple[Any, ...]:
    """One driver for each noise kind, made from `key` where none is given."""
    kinds = kinds_of(process)
    if process.noise is NoiseKind.none:
        if driver is not None:
            raise ValueError("The process has noise of kind none, so it takes no driver.")
        return ()
    given = driver if isinstance(driver, tuple) else (driver,)
    if driver is not None and len(given) != len(kinds):
        raise ValueError(f"The process declares {len(kinds)} noise kinds, but {len(given)} drivers were given.")
    if driver is None:
        given = (None,) * len(kinds)
    g = eqx.filter_eval_shape(process.diffusion, ts[0], y0, args)
    diffusions = g if isinstance(process.noise, tuple) else (g,)
    structs = [diffusion_struct(kind, gi, y0) for kind, gi in zip(kinds, diffusions, strict=True)]
    # Several Brownian motions are independent: each has a key of its own.
    keys = [key] if key is None or len(kinds) == 1 else list(jr.split(key, len(kinds)))
    keys = keys * len(kinds) if key is None else keys
    made = []
    for kind, struct, one, own_key in zip(kinds, structs, given, keys, strict=True):
        one = _default(struct, own_key, grid, ts, adaptive) if one is None else one
        _check_driver(kind, struct, one, y0, grid, ts)
        made.append(one)
    return tuple(made)


def _default(struct: Any, key: Any, grid: Any, ts: Array, adaptive: Any) -> AbstractNoise:
    if key is None:
        raise ValueError("The process is driven by noise: pass `key`, or a noise or a path as `driver`.")
    if grid is not None:
        return BrownianGrid(grid, struct, key=key)
    return BrownianTree(ts[0], ts[-1], struct, tol=_tree_tolerance(ts, adaptive), key=key)


def _check_driver(kind: NoiseKind, struct: Any, one: Any, y0: Any, grid: Any, ts: Array) -> None:
    if not isinstance(one, AbstractNoise | AbstractPath):
        raise TypeError(f"driver is a {type(one).__name__}; expected a noise or a path of cadlag.paths.")
    if isinstance(one, AbstractPath):
        has = eqx.filter_eval_shape(one.evaluate, ts[0])
    else:
        has = one.shape
        if grid is None and not isinstance(one, BrownianTree):
            raise ValueError(
                "Adaptive steps and Diffrax solvers need noise that can be asked for any interval: BrownianTree."
            )
    shapes = lambda s: [tuple(leaf.shape) for leaf in jax.tree.leaves(s)]  # noqa: E731
    if shapes(has) != shapes(struct):
        raise ValueError(
            f"The driver has shape {shapes(has)}, but the diffusion (noise of kind {kind.name}, state of shape "
            f"{shapes(y0)}) multiplies noise of shape {shapes(struct)}."
        )
    dtypes = lambda s: [str(leaf.dtype) for leaf in jax.tree.leaves(s)]  # noqa: E731
    if dtypes(has) != dtypes(struct):
        raise TypeError(
            f"The driver is of dtype {dtypes(has)}, but the diffusion multiplies noise of dtype {dtypes(struct)}. Make "
            "the driver from times of the state's own dtype."
        )


def _tree_tolerance(ts: Array, adaptive: Any) -> float:
    if adaptive is not None and adaptive.dt_min is not None:
        return adaptive.dt_min / 2
    if not concrete(ts):
        raise ValueError(
            "With traced output times the resolution of the noise is unknown: give AdaptiveSteps a dt_min, or pass a "
            "BrownianTree as driver."
        )
    first, last = np.asarray(ts)[[0, -1]]
    return float(abs(last - first)) * 1e-5


def driver_increments(driver: Any, grid: Array, levy_area: bool) -> tuple[Any, Any]:
    """Increments (and Lévy areas) of one driver over every step."""
    if isinstance(driver, AbstractNoise):
        drawn = driver.increments(grid, levy_area=levy_area)
        return drawn.dw, drawn.area
    assert isinstance(driver, AbstractPath)
    return jax.tree.map(lambda x: jnp.diff(x, axis=0), jax.vmap(driver.evaluate)(grid)), None


def join(parts: list) -> Any:
    """One driver's increment stands alone; several make a tuple; none is None."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else tuple(parts)


class StepDrivers(eqx.Module):
    """Increments over step i: redrawn for noise on a grid, otherwise rows of an array."""

    noises: tuple[BrownianGrid | None, ...]
    grid: Array
    steps: int = eqx.field(static=True)

    def at(self, rows: tuple[Any, ...], i: Array) -> Any:
        """Increment over step i; zero before the first."""
        inside = jnp.asarray(i >= 0)
        j = jnp.maximum(i, 0)
        parts = [
            jax.tree.map(lambda x: x[j], r) if n is None else self._redraw(n, j)
            for n, r in zip(self.noises, rows, strict=True)
        ]
        return join([jax.tree.map(lambda x: jnp.where(inside, x, jnp.zeros_like(x)), p) for p in parts])

    def _redraw(self, noise: BrownianGrid, j: Array) -> Any:
        against = noise.against(self.grid)
        dw = noise.step(jnp.where(against, self.steps - 1 - j, j)).dw
        return jax.tree.map(lambda x: jnp.where(against, -x, x), dw)
