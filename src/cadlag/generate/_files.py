"""From a file of samples to a fitted generator and from there to new samples: what the command line calls."""

import pathlib

import numpy as np

from cadlag.data import Samples, read_samples, write_samples
from cadlag.diffusion import EDM, VE, VP, Cosine, Flow, SubVP
from cadlag.generate._networks import mlp, unet
from cadlag.generate.generator import Generator
from cadlag.train import progress

SCHEDULES = {"vp": VP, "sub-vp": SubVP, "ve": VE, "edm": EDM, "flow": Flow, "cosine": Cosine}
NETWORKS = {"mlp": mlp, "unet": unet}
DEFAULT_STEPS = 5000


def fit_file(
    *,
    data: pathlib.Path,
    label: str | None = None,
    schedule: str = "vp",
    network: str = "mlp",
    levels: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    out: pathlib.Path | None = None,
) -> str:
    """Fit a generator to a file and save it to a folder; returns what to tell the user.

    A tenth of at least 50 samples is held out, and their mean log-density reported.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"--schedule {schedule} is not one of {', '.join(SCHEDULES)}.")
    if network not in NETWORKS:
        raise ValueError(f"--network {network} is not one of {', '.join(NETWORKS)}.")
    if steps is not None and steps < 1:
        raise ValueError(f"--steps {steps} must be at least 1.")
    samples = read_samples(data, label=label)
    out = pathlib.Path("runs") / f"generate-{pathlib.Path(data).stem}" if out is None else pathlib.Path(out)
    train, held = _hold_out(samples, seed)
    generator = Generator(
        SCHEDULES[schedule](), NETWORKS[network], steps=DEFAULT_STEPS if steps is None else steps, levels=levels,
        seed=seed, batch_size=min(256, len(train)), run=out / "training", progress=progress(),
    )  # fmt: skip
    generator.fit(train)
    generator.run = generator.progress = None
    generator.save(out / "model")
    told = ""
    if held is not None:
        named = None if held.classes is None else np.asarray(held.classes)[np.asarray(held.labels)]
        told = f" Mean log-density of {len(held)} samples held out: {generator.score(held, named):.4g} nats."
    shape = "x".join(map(str, samples.shape))
    return (
        f"generate: {len(samples)} samples of shape {shape}"
        f"{'' if samples.classes is None else f', {len(samples.classes)} classes'}.{told}\n"
        f"Model: {out / 'model'}\nNext: cadlag sample {out} -n 1000 -o samples.npz"
    )


def sample_file(
    *,
    run: pathlib.Path,
    n: int = 1000,
    out: pathlib.Path = pathlib.Path("samples.npz"),
    condition: str | None = None,
    guidance: float = 1.0,
    seed: int = 0,
) -> str:
    """Draw from the model in a run folder, to a file; returns what to tell the user."""
    folder = pathlib.Path(run) / "model"
    if not folder.is_dir():
        raise ValueError(f"{run} is not a folder that `cadlag fit generate` wrote (no model).")
    generator = Generator.load(folder)
    if n < 1:
        raise ValueError(f"-n {n} must be at least 1.")
    drawn = generator.sample(n, condition=condition, guidance=guidance, seed=seed)
    labels = None if condition is None else [condition] * n
    write_samples(out, Samples.from_arrays(drawn, labels=labels, columns=generator.columns_ or None))
    return f"{n} samples of shape {'x'.join(map(str, drawn.shape[1:]))}: {out}"


def _hold_out(samples: Samples, seed: int) -> tuple[Samples, Samples | None]:
    if len(samples) < 50:
        return samples, None
    order = np.random.default_rng(seed).permutation(len(samples))
    count = min(len(samples) // 10, 256)
    return samples.take(order[count:]), samples.take(order[:count])
