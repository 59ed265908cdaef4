"""What does a derivative of a network cost? Value and gradient of a mean squared derivative, several ways.

    python benchmarks/derivatives.py

Writes results/benchmarks/derivatives.{json,md}. `CallableField` and the losses of `cadlag.physics` use "Taylor,
shared", the forward Laplacian from three axes on, and on a CPU chunks of 256 points.
"""

import argparse
import json
import os
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from facts import describe, load_average, machine_facts
from jax.experimental.jet import jet

from cadlag.fields import Box
from cadlag.linalg import derivative_along, forward_laplacian, share
from cadlag.nn import MLP, CoordinateNetwork, ToUnit, glorot_linear

ROOT = Path(__file__).resolve().parent.parent
POINTS = (512, 4096)
CHUNKS = (128, 256, 512, 1024, 4096)


def network(d):
    encoder = ToUnit(Box({f"x{i}": (-1.0, 1.0) for i in range(d)}))
    return CoordinateNetwork(encoder, MLP(d, 1, 64, 4, activation=jnp.tanh, layer=glorot_linear, key=jr.key(0)))


def unit(p, place):
    return jnp.asarray(np.eye(p.shape[0])[place], p.dtype)


def nested(f, place, order):
    for _ in range(order):
        f = (lambda g: lambda p: jax.jvp(g, (p,), (unit(p, place),))[1])(f)
    return f


def taylor(f, place, order):
    return lambda p: derivative_along(f, p, unit(p, place), order)


def by_jet(f, place, order):
    def derivative(p):
        series = [unit(p, place), *[jnp.zeros_like(p)] * (order - 1)]
        return jet(f, (p,), (series,))[1][order - 1]

    return derivative


def of_order(order):
    return lambda d, f, p: d(f, 0, order)(p)


def burgers(d, f, p):
    return d(f, 0, 1)(p) + f(p) * d(f, 1, 1)(p) - 0.01 * d(f, 1, 2)(p)


def kuramoto_sivashinsky(d, f, p):
    return d(f, 0, 1)(p) + f(p) * d(f, 1, 1)(p) + d(f, 1, 2)(p) + d(f, 1, 4)(p)


RESIDUALS = {
    **{f"order {k}": of_order(k) for k in (1, 2, 3, 4)},
    "Burgers": burgers,
    "Kuramoto-Sivashinsky": kuramoto_sivashinsky,
}
WAYS = {
    "nested jvp": (nested, False),
    "nested jvp, shared": (nested, True),
    "jax.experimental.jet": (by_jet, False),
    "Taylor": (taylor, False),
    "Taylor, shared": (taylor, True),
}


def vmapped(f, p):
    def second(v):
        return jax.jvp(lambda q: jax.jvp(f, (q,), (v,))[1], (p,), (v,))[1]

    return jnp.sum(jax.vmap(second)(jnp.eye(p.shape[0], dtype=p.dtype)))


LAPLACIANS = {
    "loop of nested jvp, shared": lambda f, p: sum(nested(f, i, 2)(p) for i in range(p.shape[0])),
    "vmapped directions, shared": vmapped,
    "loop of Taylor, shared": lambda f, p: sum(taylor(f, i, 2)(p) for i in range(p.shape[0])),
    "forward Laplacian, shared": lambda f, p: forward_laplacian(f, p, jnp.eye(p.shape[0], dtype=p.dtype)),
}


def stacked(net, points):
    """All Taylor coefficients of Burgers in one matrix product a layer, by hand: u, u_t, u_x, u_xx."""
    zero = jnp.zeros_like(points)
    streams = [points, zero.at[:, 0].set(1), zero.at[:, 1].set(1), None]
    *hidden, last = net.body.layers
    for layer in hidden:
        parts = [s for s in streams if s is not None]
        out = iter(jnp.stack(parts) @ layer.weight.T)
        z, t, x, xx = (None if s is None else next(out) for s in streams)
        y = jnp.tanh(z + layer.bias)
        w = 1 - y * y
        bent = -2 * y * w * x * x
        streams = [y, w * t, w * x, bent if xx is None else bent + w * xx]
    u, t, x, xx = (jnp.stack(streams) @ last.weight.T)[..., 0]
    return t + (u + last.bias[0]) * x - 0.01 * xx


def contestant(net, residual, points, shared):
    """A compiled value and gradient, as a function of no arguments, and seconds of compiling."""
    params, static = eqx.partition(net, eqx.is_inexact_array)

    def at(params, p):
        return residual(eqx.combine(params, static), p)

    at = share(at) if shared else at
    return compiled(lambda params: jnp.mean(jax.vmap(at, (None, 0))(params, points) ** 2), params)


def chunked(net, residual, points, size):
    """Gradients of chunks accumulated in a scan."""
    params, static = eqx.partition(net, eqx.is_inexact_array)
    at = share(lambda params, p: residual(eqx.combine(params, static), p))
    part = jax.value_and_grad(lambda params, x: jnp.sum(jax.vmap(at, (None, 0))(params, x) ** 2) / len(points))

    def run(params):
        zero = jax.tree.map(jnp.zeros_like, (jnp.zeros(()), params))
        add = lambda total, x: (jax.tree.map(jnp.add, total, part(params, x)), None)  # noqa: E731
        return jax.lax.scan(add, zero, points.reshape(-1, size, points.shape[1]))[0]

    return ready(run, params)


def by_hand(net, points):
    params, static = eqx.partition(net, eqx.is_inexact_array)
    return compiled(lambda params: jnp.mean(stacked(eqx.combine(params, static), points) ** 2), params)


def compiled(loss, params):
    return ready(jax.value_and_grad(loss), params)


def ready(function, params):
    start = time.perf_counter()
    run = jax.jit(function).lower(params).compile()
    seconds = time.perf_counter() - start
    value = float(run(params)[0])
    return (lambda: jax.block_until_ready(run(params))), seconds, value


def race(contestants, rounds):
    """Interleaved repetitions: least and median milliseconds of each."""
    seconds = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, (run, _, _) in contestants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(1e3 * (time.perf_counter() - start))
    rows = {}
    for name, (_, compile_seconds, value) in contestants.items():
        rows[name] = {
            "least_ms": min(seconds[name]),
            "median_ms": float(np.median(seconds[name])),
            "compile_s": compile_seconds,
            "value": value,
        }
    values = [row["value"] for row in rows.values()]
    assert np.allclose(values, values[0], rtol=1e-3), rows
    return rows


def tables(rounds):
    for n in POINTS:
        points = jr.uniform(jr.key(1), (n, 2), minval=-1, maxval=1)
        for title, residual in RESIDUALS.items():
            net = network(2)
            ways = {name: contestant(net, partial(residual, d), points, shared) for name, (d, shared) in WAYS.items()}
            if title == "Burgers":
                ways["one matrix product a layer, by hand"] = by_hand(net, points)
            yield f"{title}, {n} points", race(ways, rounds)
            if n > 512 and title in ("Burgers", "Kuramoto-Sivashinsky"):
                sizes = {f"{size} at a time": chunked(net, partial(residual, taylor), points, size) for size in CHUNKS}
                yield f"{title}, Taylor, shared, {n} points in chunks", race(sizes, rounds)
        for d in (2, 3, 10):
            points_d = jr.uniform(jr.key(1), (n, d), minval=-1, maxval=1)
            net = network(d)
            ways = {name: contestant(net, f, points_d, True) for name, f in LAPLACIANS.items()}
            yield f"Laplacian in {d} dimensions, {n} points", race(ways, max(3, rounds // 3))
            if n > 512:
                f = LAPLACIANS["forward Laplacian, shared"]
                sizes = {f"{size} at a time": chunked(net, f, points_d, size) for size in CHUNKS}
                yield f"Forward Laplacian in {d} dimensions, {n} points in chunks", race(sizes, max(3, rounds // 3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, default=ROOT / "results/benchmarks/derivatives")
    arguments = parser.parse_args()
    facts = machine_facts(load_average()) | {"rounds": arguments.rounds}
    facts["versions"] = {name: version(name) for name in ("jax", "jaxlib", "equinox")}
    text = ["# Derivatives of a network\n", *describe(facts), ""]
    text += ["4 x 64 tanh, float32; value and gradient of the mean square. Milliseconds.\n"]
    results = {}
    for title, rows in tables(arguments.rounds):
        results[title] = rows
        text += [f"\n**{title}**\n", "| way | least | median | compile (s) |", "|---|--:|--:|--:|"]
        text += [
            f"| {name} | {r['least_ms']:.2f} | {r['median_ms']:.2f} | {r['compile_s']:.2f} |"
            for name, r in rows.items()
        ]
        print("\n".join(text[-len(rows) - 3 :]), flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps({"machine": facts, "tables": results}, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
