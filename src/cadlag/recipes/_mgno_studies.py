"""What `mgno` measures: the V-cycle with the weights of multigrid, and operators trained on Darcy's flow."""

import functools
import json
import math
from typing import Any

from cadlag.recipes._operators import at_equal_steps_and_time, case, drawn, fitted, inference_ms, spectrum, time_ratio


def network(arm: str, settings: dict[str, Any]) -> Any:
    """The constructor of an arm's network; one object an arm, so that what it compiled is found again."""
    return _network(arm, json.dumps(settings["networks"]))


@functools.lru_cache(maxsize=16)
def _network(arm: str, networks: str) -> Any:
    from cadlag.nn import Boundary
    from cadlag.operators import FNO, MgNO, UNet

    sizes = json.loads(networks)[arm.removesuffix("-circular")]
    walls = Boundary.circular if arm.endswith("-circular") else Boundary.zero
    if arm.startswith("mgno"):
        sizes["sweeps"] = ((1, 0),) * (sizes.pop("levels") - 1) + ((2, 0),)
    made = {"mgno": MgNO, "fno": FNO, "unet": UNet}[arm.split("-")[0]]
    return functools.partial(made, boundary=walls, **sizes)


@functools.lru_cache(maxsize=4)
def dataset(problem: str, n: int, resolution: int) -> Any:
    """n examples of a problem; the same ones in every process."""
    import jax.random as jr

    from cadlag.equations import DarcyGenerator, ThresholdedField, dataset_generator, make_dataset

    generator = {
        "darcy": lambda: dataset_generator("darcy"),
        "rough": lambda: DarcyGenerator(law=functools.partial(ThresholdedField, tau=5.0)),
        "multiscale": lambda: dataset_generator("darcy-multiscale"),
    }[problem]()
    return make_dataset(generator, n, resolution=resolution, key=jr.key(15), shard=min(n, 50))


def darcy(arm: str, problem: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Figures at equal steps and, of the arms that are asked for, in the time that MgNO's steps take."""
    data = dataset(problem, settings["pool"] + settings["test"], settings["resolution"])
    train, test = drawn(data, settings, seed)
    net, ours = network(arm, settings), network("mgno", settings)
    ratio = lambda: time_ratio(net, ours, (1, 1), train.shape, settings["batch"])  # noqa: E731
    learn = lambda steps: learnt(net, train, test, settings, arm, seed, steps)  # noqa: E731
    return at_equal_steps_and_time(learn, settings["steps"], ratio if arm in settings["equal_time"] else None)


def learnt(
    net: Any, train: Any, test: Any, settings: dict[str, Any], arm: str, seed: int, steps: int
) -> dict[str, Any]:
    """Train, and measure on the test part and on as many examples of the training part."""
    from cadlag.operators import RelativeH1, evaluate

    spacing = train.spacing("x")
    model, found = fitted(
        net, train, seed, steps=steps, inputs=("a",), outputs=("u",), in_units=True, loss=RelativeH1(spacing=spacing),
        batch_size=settings["batch"], learning_rate=settings["learning_rate"][arm],
    )  # fmt: skip
    predicted = model.predict(test)
    seen = errors(model.predict(train[: len(test)]), train[: len(test)], spacing)
    unseen = errors(predicted, test, spacing)
    pair = test.select(("u",)).values[:3, 0, 0], predicted[:3, 0]
    return {
        **found, **unseen, "gap": unseen["h1"] / seen["h1"], "ms": inference_ms(model, test),
        "spectrum": spectrum(evaluate(model, test)), "case": case(*pair, magnify=10),
    }  # fmt: skip


def errors(predicted: Any, data: Any, spacing: float) -> dict[str, float]:
    """Mean relative errors in H1, with the slopes in units of length, and in L2."""
    import jax.numpy as jnp

    from cadlag.metrics import relative_h1, relative_l2

    truth = jnp.asarray(data.select(("u",)).values[:, 0])
    found = jnp.asarray(predicted, truth.dtype)
    h1, l2 = relative_h1(found, truth, spatial_axes=2, spacing=spacing), relative_l2(found, truth, spatial_axes=2)
    return {"h1": float(jnp.mean(h1)), "l2": float(jnp.mean(l2))}


def multigrid(size: int, cycles: int = 15) -> float:
    """Mean factor of the residual of -Δu = f over the last five cycles u ← u + W (f - A u), on a periodic square."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    net = classical(size)
    f = np.random.default_rng(0).normal(size=(size, size, 1))
    f = jnp.asarray(f - f.mean(), jnp.float32)

    def residual(u: Any) -> Any:
        return f - size**2 * (4 * u - sum(jnp.roll(u, s, axis) for s in (1, -1) for axis in (0, 1)))

    def cycle(u: Any, _: None) -> Any:
        r = residual(u)
        return u + net(r), jnp.linalg.norm(r)

    norms = np.asarray(eqx.filter_jit(lambda: jax.lax.scan(cycle, jnp.zeros_like(f), None, length=cycles)[1])())
    return float((norms[-1] / norms[-6]) ** 0.2)


def classical(size: int) -> Any:
    """A V-cycle with the weights of multigrid: damped Jacobi, averages of four cells, bilinear interpolation."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np

    from cadlag.nn import Boundary, VCycle

    net = VCycle(1, 1, sweeps=((1, 0),) * int(math.log2(size)), boundary=Boundary.circular, key=jr.key(0))
    laplace = np.asarray([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    point, cells, tent = np.diag([0, 1, 0]), np.outer([0, 0.5, 0.5], [0, 0.5, 0.5]), np.asarray([1, 3, 3, 1]) / 4
    kernels = []
    for i, level in enumerate(net.levels):
        h = 2**i / size
        kernels += [(sweep.smooth, 0.8 * h**2 / 4 * np.outer(point[1], point[1])) for sweep in level.before]
        kernels += [(conv, laplace / h**2) for conv in (level.apply, *(s.apply for s in level.before))]
        kernels += [(level.restrict, cells), (level.inject, np.zeros((3, 3)))]
        kernels += [(level.prolong and level.prolong.transposed, np.outer(tent, tent))]
    known = {id(conv): kernel for conv, kernel in kernels if conv is not None}

    def put(conv: Any) -> Any:
        kernel = jnp.asarray(known[id(conv)], jnp.float32)[:, :, None, None]
        return eqx.tree_at(lambda c: c.weight, conv, kernel)

    return jax.tree.map(lambda x: put(x) if id(x) in known else x, net, is_leaf=lambda x: id(x) in known)
