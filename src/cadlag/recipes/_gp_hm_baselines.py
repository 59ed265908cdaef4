"""What `gp-hm` measures beside Gaussian processes: networks, random Fourier features, Chebyshev's nodes."""

import time
from collections.abc import Callable
from typing import Any

from cadlag.recipes._curve import thin
from cadlag.recipes._gp_hm_problems import Case, make, relative_error


def baseline(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """An arm on the preset's cases: networks on the first one, the others on all of one dimension."""
    solvers: dict[str, Callable[..., dict[str, Any]]] = {
        "pinn": lambda case: network(case, settings, seed, None),
        "rff-pinn": lambda case: _best_scale(case, settings, lambda c, s: network(c, settings, seed, s)),
        "rff-least-squares": lambda case: _best_scale(case, settings, lambda c, s: least_squares(c, settings, seed, s)),
        "chebyshev": lambda case: chebyshev(case),
    }
    lines = [name for name in settings["cases"] if not name.endswith("2d") and name != "advection"]
    names = lines[:1] if arm.endswith("pinn") else lines
    small = {"wave": settings["wave"], "points": settings["points"]}
    return {"cases": {name: solvers[arm](make(name, seed, **small)) for name in names}}


def _best_scale(case: Case, settings: dict[str, Any], solve: Callable[[Case, float], dict[str, Any]]) -> dict[str, Any]:
    """Every scale, in radians per unit as published; the best one by its error counts."""
    by = {str(scale): solve(case, scale) for scale in settings["scales"]}
    best = min(by, key=lambda scale: by[scale]["error"])
    seconds = sum(found["seconds"] for found in by.values())
    return {**by[best], "scale": float(best), "seconds": seconds, "scales": {s: f["error"] for s, f in by.items()}}


def chebyshev(case: Case) -> dict[str, Any]:
    """Collocation at as many of Chebyshev's nodes as the process has points."""
    import jax
    import jax.numpy as jnp

    from cadlag.fields import Grid, Nodes
    from cadlag.physics import solve_collocation

    start = time.perf_counter()
    found = solve_collocation(case.equation, Grid(case.equation.domain, case.points, nodes=(Nodes.chebyshev,)))
    error = relative_error(case, lambda x: jax.vmap(found)(x[:, None]))
    return {"error": error, "seconds": time.perf_counter() - start, "finite": bool(jnp.all(jnp.isfinite(found.values)))}


def least_squares(case: Case, settings: dict[str, Any], seed: int, scale: float) -> dict[str, Any]:
    """Least squares in cosines and sines of random frequencies, at twice as many points as there are of these.

    With as many points as the process has, frequencies beyond what those resolve fit them and swing between.
    """
    import jax
    import jax.numpy as jnp

    from cadlag.fields import Grid
    from cadlag.physics import solve_features

    start = time.perf_counter()
    frequencies = scale * jax.random.normal(jax.random.key(seed), (settings["features"] // 2,))

    def features(p: Any) -> Any:
        return jnp.concatenate([jnp.cos(frequencies * p[0]), jnp.sin(frequencies * p[0])])

    points = jnp.asarray(Grid(case.equation.domain, 2 * settings["features"]).points("x"))[:, None]
    found = solve_features(case.equation, features, points)
    error = relative_error(case, lambda x: jax.vmap(found)(x[:, None]))
    return {"error": error, "seconds": time.perf_counter() - start}


def network(case: Case, settings: dict[str, Any], seed: int, scale: float | None) -> dict[str, Any]:
    """A tanh network of the point, or of random Fourier features of it, trained on residual and conditions.

    Single precision; Adam with a cosine schedule on the mean squares of the residual, relative to the source's, and of
    the conditions, weighted by 100.
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    from cadlag.fields import CallableField, Grid
    from cadlag.nn import MLP
    from cadlag.train import gradient, minimise

    start = time.perf_counter()
    domain, equation = case.equation.domain, case.equation
    keys = jax.random.split(jax.random.key(seed))
    size = 2 * settings["network_features"] if scale is not None else 1
    net = MLP(size, 1, settings["width"], settings["depth"], activation=jnp.tanh, key=keys[0])
    net = jax.tree.map(lambda x: x.astype(jnp.float32) if hasattr(x, "astype") else x, net)
    b = ((scale or 1.0) * jax.random.normal(keys[1], (settings["network_features"],))).astype(jnp.float32)
    points = jnp.asarray(Grid(domain, case.points).points("x"), jnp.float32)[:, None]

    def field(net: Any) -> CallableField:
        def f(p: Any) -> Any:
            given = domain.to_unit(p) if scale is None else jnp.concatenate([jnp.cos(b * p[0]), jnp.sin(b * p[0])])
            return net(given)[0]

        return CallableField(domain=domain, f=f)

    zero = CallableField(domain=domain, f=lambda p: 0 * p[0])
    size_of_source = jnp.mean(jnp.square(jax.vmap(equation.residual(zero))(points)))

    def loss(net: Any, batch: None, key: Any) -> tuple[Any, dict[str, Any]]:
        u = field(net)
        inside = jnp.mean(jnp.square(jax.vmap(equation.residual(u))(points))) / size_of_source
        ends = [c.residual(u)(jnp.asarray([dict(c.at)["x"]], jnp.float32)) for c in equation.conditions()]
        return inside + 100 * jnp.mean(jnp.square(jnp.stack(ends))), {}

    schedule = optax.cosine_decay_schedule(settings["learning_rate"], settings["network_steps"])
    update = gradient(loss, optax.adam(schedule))
    state = update.init(net, jax.random.key(0))
    train = eqx.filter_jit(lambda state: minimise(update, state, None, settings["network_steps"], key=keys[0]))
    state, infos = train(state)
    found = field(state.unknowns)
    error = relative_error(case, lambda x: jax.vmap(found)(x.astype(jnp.float32)[:, None]))
    return {"error": error, "seconds": time.perf_counter() - start, "curve": thin(infos["loss"])}
