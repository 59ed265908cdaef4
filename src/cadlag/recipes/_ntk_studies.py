"""What `ntk` measures on a circle: trained networks against the closed form, and kernels at initialisation."""

from typing import Any


def shallow() -> Any:
    """One hidden layer of ReLU."""
    from cadlag.kernels import Dense, ReLU, Serial

    return Serial(Dense(2**0.5, 0.1), ReLU(), Dense(2**0.5, 0.1))


def circle(angles: Any) -> tuple[Any, Any]:
    """Points on the unit circle and the product of their coordinates."""
    import jax.numpy as jnp

    x = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    return x, x[:, :1] * x[:, 1:]


def network(shape: tuple[int, ...], width: int, key: Any) -> Any:
    """A fresh network of one hidden layer, in double precision."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from cadlag.kernels import finite_network

    made = finite_network(shallow(), shape, width=width, key=key)
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, made)


def descend(model: Any, x: Any, y: Any, rate: Any, steps: int, watch: Any = None) -> Any:
    """Gradient descent on |f - y|² / (2 n outputs): the model after all steps, and `watch(model)` before each."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    params, rest = eqx.partition(model, eqx.is_inexact_array)

    def loss(p: Any) -> Any:
        return jnp.mean((jax.vmap(eqx.combine(p, rest))(x) - y) ** 2) / 2

    def step(p: Any, _: Any) -> tuple[Any, Any]:
        seen = None if watch is None else watch(eqx.combine(p, rest))
        return jax.tree.map(lambda a, g: a - rate * g, p, jax.grad(loss)(p)), seen

    end, seen = jax.lax.scan(step, params, None, length=steps)
    return eqx.combine(end, rest), seen


def training(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Deviations from the closed form at test points, over the targets' deviation, and changes of the kernel."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.kernels import network_kernels
    from cadlag.limits import tangent_dynamics
    from cadlag.linalg import NTKMethod, empirical_ntk

    data_key, key = jax.random.split(jax.random.key(seed))
    x, y = circle(jax.random.uniform(data_key, (settings["points"],), jnp.float64, -jnp.pi, jnp.pi))
    z, truth = circle(jnp.linspace(-jnp.pi, jnp.pi, 60, endpoint=False))
    steps, rate = settings["steps"], settings["rate"]
    dynamics = tangent_dynamics(network_kernels(shallow(), x).ntk, y, learning_rate=rate, discrete=True)
    across = network_kernels(shallow(), z, x).ntk

    def one(k: Any, width: int) -> tuple[Any, Any, Any]:
        start = network((2,), width, k)
        end, _ = descend(start, x, y, rate, steps)
        predicted = dynamics.test(steps, jax.vmap(start)(x), jax.vmap(start)(z), across)
        gap = (jax.vmap(end)(z) - predicted) / jnp.std(truth)
        kernels = [empirical_ntk(m, x, trace=True, method=NTKMethod.structured) for m in (start, end)]
        drift = jnp.linalg.norm(kernels[1] - kernels[0]) / jnp.linalg.norm(kernels[0])
        return jnp.sqrt(jnp.mean(gap**2)), jnp.max(jnp.abs(gap)), drift

    found = {}
    for width, k in zip(settings["widths"], jax.random.split(key, len(settings["widths"])), strict=True):
        keys = jax.random.split(k, settings["nets"])
        each = jax.jit(jax.vmap(lambda q, w=width: one(q, w)))(keys)
        found[str(width)] = dict(zip(("rms", "largest", "drift"), [float(jnp.mean(a)) for a in each], strict=True))
    rms, largest, drift = ([f[name] for f in found.values()] for name in ("rms", "largest", "drift"))
    return {
        "widths": found,
        "slope": float(np.polyfit(np.log(settings["widths"]), np.log(rms), 1)[0]),
        "widest": largest[-1],
        "drift_ratio": drift[-1] / drift[0],
    }


def initialisation(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Relative errors (Frobenius norm) of empirical kernels of fresh networks."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.kernels import network_kernels
    from cadlag.linalg import NTKMethod, empirical_ntk

    data_key, key = jax.random.split(jax.random.key(seed))
    x, _ = circle(jax.random.uniform(data_key, (settings["kernel_points"],), jnp.float64, -jnp.pi, jnp.pi))
    limit = network_kernels(shallow(), x).ntk

    def one(k: Any, width: int) -> Any:
        theta = empirical_ntk(network((2,), width, k), x, trace=True, method=NTKMethod.structured)
        return jnp.linalg.norm(theta - limit) / jnp.linalg.norm(limit)

    errors = {}
    for width, k in zip(settings["kernel_widths"], jax.random.split(key, len(settings["kernel_widths"])), strict=True):
        keys = jax.random.split(k, settings["nets"])
        each = jax.jit(lambda ks, w=width: jax.lax.map(lambda q: one(q, w), ks))(keys)
        errors[str(width)] = float(jnp.mean(each))
    slope = np.polyfit(np.log(settings["kernel_widths"]), np.log(list(errors.values())), 1)[0]
    return {"errors": errors, "slope": float(slope)}
