"""What `sinenet` measures: a scalar carried by flows, one frame from the last, and the roll-out."""

import functools
import json
from typing import Any

from cadlag.recipes._operators import at_equal_steps_and_time, case, drawn, fitted, inference_ms, spectrum, time_ratio

SPEEDS = {"fast": 1.0, "slow": 0.25}
"""Of the flows given; the root mean square."""
OURS = "sinenet-4"
"""In whose time the baselines are trained."""


def network(arm: str, settings: dict[str, Any]) -> Any:
    """The constructor of an arm's network; one object an arm, so that what it compiled is found again."""
    return _network(arm.removesuffix("-refined"), json.dumps(settings["networks"]))


@functools.lru_cache(maxsize=16)
def _network(arm: str, networks: str) -> Any:
    from cadlag.nn import Boundary
    from cadlag.operators import FNO, SineNet, UNet

    kind, *rest = arm.split("-")
    sizes = json.loads(networks)[kind]
    if kind == "sinenet":
        sizes |= {"waves": int(rest[0]), "growth": sizes["growth"][rest[0]]}
    wrap = Boundary.zero if rest[1:] == ["zero"] else Boundary.circular
    return functools.partial({"sinenet": SineNet, "fno": FNO, "unet": UNet}[kind], boundary=wrap, **sizes)


@functools.lru_cache(maxsize=4)
def dataset(problem: str, n: int, resolution: int, frames: int) -> Any:
    """n trajectories in random flows of a speed, or of decaying turbulence; the same ones in every process."""
    import dataclasses

    import jax.random as jr

    from cadlag.equations import dataset_generator, make_dataset

    if problem in SPEEDS:
        given: Any = dataset_generator("advection", frames=frames)
        generator = dataclasses.replace(given, speed=SPEEDS[problem])
    else:
        generator = dataset_generator("navier-stokes-decaying", frames=frames)
    return make_dataset(generator, n, resolution=resolution, key=jr.key(17), shard=min(n, 25))


def study(arm: str, problem: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Figures at equal steps and, of the arms that are asked for, in the time that the steps of four waves take."""
    data = dataset(problem, settings["pool"] + settings["test"], settings["resolution"], settings["frames"])
    train, test = drawn(data, settings, seed)
    net, ours, channels = network(arm, settings), network(OURS, settings), (len(train.channels), 1)
    ratio = lambda: time_ratio(net, ours, channels, train.shape, settings["batch"])  # noqa: E731
    learn = lambda steps: learnt(net, train, test, settings, arm, seed, steps)  # noqa: E731
    timed = arm in settings["equal_time"] and problem == "fast"
    return at_equal_steps_and_time(learn, settings["steps"], ratio if timed else None)


def learnt(
    net: Any, train: Any, test: Any, settings: dict[str, Any], arm: str, seed: int, steps: int
) -> dict[str, Any]:
    """Train on single steps; the error of one step, and of the roll-out to the last frame."""
    from cadlag.operators import Direct, Refined, evaluate

    model, found = fitted(
        net, train, seed, steps=steps, form=Refined() if arm.endswith("-refined") else Direct(),
        outputs=train.channels[:1], batch_size=settings["batch"], learning_rate=settings["learning_rate"][arm],
    )  # fmt: skip
    judged = evaluate(model, test)
    assert judged.rollout_l2 is not None
    by_step = judged.rollout_l2[:, 0]
    given = test.values[:, 1:, 1:] if len(test.channels) > 1 else None
    rolled = model.rollout(test.times(slice(0, 1)), test.frames - 1, inputs=given)[:3, -1, 0]
    return {
        **found, "one_step": float(judged.relative_l2[0]), "rollout": float(by_step.mean()), "last": float(by_step[-1]),
        "by_step": [float(e) for e in by_step], "ms": inference_ms(model, test.times(slice(0, 1))),
        "spectrum": spectrum(judged), "case": case(test.values[:3, -1, 0], rolled, magnify=1),
    }  # fmt: skip
