"""What `sinenet` measures: a scalar carried by random flows, one frame from the last, and the roll-out."""

import functools
from typing import Any

from cadlag.recipes._operators import case, fitted, inference_ms, spectrum, time_ratio

CHANNELS = (3, 1)
"""The scalar and the velocity in, the scalar out."""


def network(arm: str, settings: dict[str, Any]) -> Any:
    """The constructor of an arm's network; one object an arm, so that what it compiled is found again."""
    sizes = settings["networks"]
    growths = tuple((int(waves), float(growth)) for waves, growth in sizes["growth"].items())
    return _network(arm, growths, **{k: v for k, v in sizes.items() if k != "growth"})


@functools.lru_cache(maxsize=16)
def _network(
    arm: str, growths: tuple[tuple[int, float], ...], width: int, levels: int, fno: int, modes: int, unet: int
) -> Any:
    from cadlag.nn import Boundary
    from cadlag.operators import FNO, SineNet, UNet

    wrap = {"boundary": Boundary.circular}
    waves = {
        f"sinenet-{k}": functools.partial(SineNet, waves=k, width=width, growth=growth, levels=levels, **wrap)
        for k, growth in growths
    }
    most = f"sinenet-{growths[-1][0]}"
    return {
        **waves,
        f"{most}-zero": functools.partial(waves[most], boundary=Boundary.zero),
        "fno": functools.partial(FNO, width=fno, modes=modes, project=64, **wrap),
        "unet": functools.partial(UNet, width=unet, multipliers=(1, 2, 4), blocks=1, **wrap),
    }[arm]


@functools.lru_cache(maxsize=4)
def dataset(speed: float, n: int, resolution: int, frames: int) -> Any:
    """n trajectories in random flows of a root mean square speed; the same ones in every process."""
    import dataclasses

    import jax.random as jr

    from cadlag.equations import dataset_generator, make_dataset

    generator = dataclasses.replace(dataset_generator("advection", frames=frames), speed=speed)
    return make_dataset(generator, n, resolution=resolution, key=jr.key(17), shard=min(n, 25))


def parts(speed: float, settings: dict[str, Any], seed: int) -> tuple[Any, Any]:
    """Training trajectories, which the seed draws from the pool, and test ones, the same for all seeds."""
    import numpy as np

    pool, test = settings["pool"], settings["test"]
    data = dataset(speed, pool + test, settings["resolution"], settings["frames"])
    return data.take(np.random.default_rng(seed).permutation(pool)[: settings["train"]]), data[pool:]


def advection(arm: str, speed: float, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Figures at equal steps and, of the arms that are asked for, in the time that the most waves' steps take."""
    train, test = parts(speed, settings, seed)
    net, steps = network(arm, settings), settings["steps"]
    found = {"steps": learnt(net, train, test, settings, arm, seed, steps)}
    if arm in settings["equal_time"]:
        most = network(f"sinenet-{list(settings['networks']['growth'])[-1]}", settings)
        ratio = time_ratio(net, most, CHANNELS, train.shape, settings["batch"])
        found["time"] = learnt(net, train, test, settings, arm, seed, max(1, round(steps * ratio)))
    return found


def learnt(
    net: Any, train: Any, test: Any, settings: dict[str, Any], arm: str, seed: int, steps: int
) -> dict[str, Any]:
    """Train on single steps; the error of one step, and of the roll-out to the last frame."""
    from cadlag.operators import evaluate

    model, found = fitted(
        net, train, seed, steps=steps, outputs=("u",), batch_size=settings["batch"],
        learning_rate=settings["learning_rate"][arm],
    )  # fmt: skip
    judged = evaluate(model, test)
    assert judged.rollout_l2 is not None
    by_step = judged.rollout_l2[:, 0]
    start, last = test[:3].times(slice(0, 1)), test[:3].select(("u",)).values[:, -1, 0]
    given = test[:3].select(("vx", "vy")).values[:, 1:]
    rolled = model.rollout(start, test.frames - 1, inputs=given)[:, -1, 0]
    return {
        **found, "one_step": float(judged.relative_l2[0]), "rollout": float(by_step.mean()), "last": float(by_step[-1]),
        "by_step": [float(e) for e in by_step], "ms": inference_ms(model, test.times(slice(0, 1))),
        "spectrum": spectrum(judged), "case": case(last, rolled, magnify=1),
    }  # fmt: skip
