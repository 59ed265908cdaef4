"""What a convolution costs in training: one jitted step alone and the same step inside `minimise`.

    python benchmarks/convolution.py

Each network is trained with the library's convolution and with XLA's own gradient of the same forward pass, by
Adam, in float32. Goal, set beforehand: a step inside `minimise` costs less than 1.5 times the step alone.
"""

import argparse
import json
import os
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from facts import describe, load_average, machine_facts
from jax import lax

import cadlag.nn._conv as conv_module
from cadlag.data import FullBatch
from cadlag.nn import Conv, ConvTranspose, UNet
from cadlag.train import gradient, minimise

BATCH, WIDTH, LOOP = 32, 32, 10
GOAL = 1.5


class Layers(eqx.Module):
    """Four layers: plain, stride 2, plain, transposed with stride 2; channels last."""

    layers: tuple

    def __init__(self, key):
        a, b, c, d = jr.split(key, 4)
        self.layers = (
            Conv(1, WIDTH, key=a),
            Conv(WIDTH, WIDTH, stride=2, key=b),
            Conv(WIDTH, WIDTH, key=c),
            ConvTranspose(WIDTH, 1, 4, stride=2, key=d),
        )

    def __call__(self, level, x):
        x = jnp.moveaxis(x, 0, -1)
        for layer in self.layers[:-1]:
            x = jax.nn.silu(layer(x))
        return jnp.moveaxis(self.layers[-1](x), -1, 0)


def networks():
    """Name, constructor from a key, channels, spatial size."""
    for size in (8, 16, 32):
        yield f"four layers, {size}x{size}", Layers, 1, size
    small = {"width": WIDTH, "multipliers": (1, 2), "blocks": 1}
    yield "small U-Net, 8x8", lambda key: UNet(1, **small, key=key), 1, 8
    yield "small U-Net, 16x16", lambda key: UNet(1, **small, key=key), 1, 16


def by_xla(x, w, geometry):
    """The forward pass of `cadlag.nn`, to be differentiated by XLA's rules."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, w, geometry.stride, geometry.padding, rhs_dilation=geometry.dilation, dimension_numbers=numbers
    )


def transposed_by_xla(w, y, geometry):
    """The transposed convolution as JAX derives it."""
    x = jax.ShapeDtypeStruct((y.shape[0], *geometry.size, w.shape[-2]), y.dtype)
    return jax.linear_transpose(lambda x: by_xla(x, w, geometry), x)(y)[0]


@contextmanager
def gradient_of(kind):
    """Within it networks are traced with the library's convolution or with XLA's."""
    kept = conv_module.convolve, conv_module.convolve_transpose
    if kind == "XLA's own":
        conv_module.convolve, conv_module.convolve_transpose = by_xla, transposed_by_xla
    try:
        yield
    finally:
        conv_module.convolve, conv_module.convolve_transpose = kept


def loss(net, batch, key):
    """Denoising: the noise from the noisy image."""
    level, x, noise = batch
    return jnp.mean((jax.vmap(net)(level, x + noise) - noise) ** 2), {}


def measure(make, channels, size, kind, repetitions, budget):
    """Median and least milliseconds of a step alone and in the loop, taken in turn, and seconds of compiling."""
    net = make(jr.key(0))
    shape = BATCH, channels, size, size
    batch = jnp.zeros(BATCH), jr.normal(jr.key(1), shape), jr.normal(jr.key(2), shape)
    update = gradient(loss, optax.adam(1e-3))
    state = update.init(net, jr.key(3))
    arrays, static = eqx.partition(state, eqx.is_array)

    def step(arrays, batch):
        return eqx.filter(update.step(eqx.combine(arrays, static), batch, jr.key(4))[0], eqx.is_array)

    def loop(arrays, batch):
        state = eqx.combine(arrays, static)
        return eqx.filter(minimise(update, state, FullBatch(batch), LOOP, key=jr.key(5))[0], eqx.is_array)

    row, ready = {}, []
    for name, run, count in (("alone", step, 1), ("inside", loop, LOOP)):
        start = time.perf_counter()
        with gradient_of(kind):
            compiled = jax.jit(run).lower(arrays, batch).compile()
        row[f"{name}_compile_seconds"] = time.perf_counter() - start
        print(f"  {name}: compiled in {row[f'{name}_compile_seconds']:.1f} s", flush=True)
        jax.block_until_ready(compiled(arrays, batch))
        ready.append((name, compiled, count, []))
    deadline = time.perf_counter() + budget
    for number in range(repetitions):
        if number >= 2 and time.perf_counter() > deadline:
            break
        for _, compiled, count, seconds in ready:
            for _ in range(1 if count > 1 else 3):
                start = time.perf_counter()
                jax.block_until_ready(compiled(arrays, batch))
                seconds.append((time.perf_counter() - start) / count)
    for name, _, _, seconds in ready:
        row |= {f"{name}_milliseconds": 1e3 * median(seconds), f"{name}_least": 1e3 * min(seconds)}
    return row | {"inside_over_alone": row["inside_milliseconds"] / row["alone_milliseconds"]}


def run(repetitions, budget, only):
    """All rows."""
    rows = []
    for name, make, channels, size in networks():
        if only and only not in name:
            continue
        for kind in ("ours", "XLA's own"):
            print(f"{name}, {kind}", flush=True)
            rows.append({"network": name, "gradient": kind, **measure(make, channels, size, kind, repetitions, budget)})
    return rows


def markdown(facts, rows):
    """One table."""
    lines = ["# Convolutions in a loop", "", *describe(facts), ""]
    lines += [
        f"One training step (Adam, batch {BATCH}, {WIDTH} channels, float32): alone, and as one of {LOOP} in one",
        "`minimise`, taken in turn; medians, the least in brackets. *Ratio*: inside / alone of the same gradient;",
        f"*to the best*: inside / the faster of both alone. Goal for ours: ratio below {GOAL}.",
        "",
        "| network | gradient | alone ms | inside ms | ratio | to the best | kept | compile s, alone | inside |",
        "|---|---|--:|--:|--:|--:|---|--:|--:|",
    ]
    for r in rows:
        best = min(x["alone_milliseconds"] for x in rows if x["network"] == r["network"])
        kept = "" if r["gradient"] != "ours" else ("yes" if r["inside_over_alone"] < GOAL else "NO")
        lines.append(
            f"| {r['network']} | {r['gradient']} | {r['alone_milliseconds']:.1f} ({r['alone_least']:.1f}) | "
            f"{r['inside_milliseconds']:.1f} ({r['inside_least']:.1f}) | {r['inside_over_alone']:.2f} | "
            f"{r['inside_milliseconds'] / best:.2f} | {kept} | {r['alone_compile_seconds']:.1f} | "
            f"{r['inside_compile_seconds']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--budget", type=float, default=15.0, help="seconds of measuring a row may take")
    parser.add_argument("--only", help="networks whose name holds this")
    default = Path(__file__).resolve().parent.parent / "results/benchmarks/convolution"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    facts = machine_facts(load_average())
    facts["versions"] = {name: version(name) for name in ("jax", "jaxlib", "equinox", "optax")}
    rows = run(arguments.repetitions, arguments.budget, arguments.only)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(markdown(facts, rows))
    print(markdown(facts, rows))


if __name__ == "__main__":
    main()
