"""What a spectral density costs by number of examples and of Lanczos steps.

    python benchmarks/curvature_cost.py

The MLP of `race.py --table curvature`, one probe, chunks of 256 examples, compiled before, the least of three.
"""

import json
import os
import time
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from facts import describe, load_average, machine_facts

from cadlag.linalg import hessian_product, spectral_density
from cadlag.nn import MLP

EXAMPLES, STEPS = (512, 1024, 2048, 4096), (5, 10, 20, 40)


def loss(model, example):
    """Cross-entropy of one example."""
    return -jax.nn.log_softmax(model(example[0]))[example[1]]


def seconds(examples, steps):
    """Of one density."""
    rng = np.random.default_rng(0)
    data = jnp.asarray(rng.normal(size=(examples, 512)), jnp.float32), jnp.asarray(rng.integers(0, 10, examples))
    model = MLP(512, 10, 768, 2, activation=jnp.tanh, key=jax.random.key(0))
    hessian = hessian_product(loss, model, data, batch_size=256)
    run = eqx.filter_jit(lambda h, k: spectral_density(h, h.parameters, steps=steps, probes=1, key=k).nodes)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        jax.block_until_ready(run(hessian, jax.random.key(1)))
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main():
    facts = machine_facts(load_average())
    by_examples = {n: seconds(n, 5) for n in EXAMPLES}
    by_steps = {m: seconds(512, m) for m in STEPS}
    slope = lambda d: float(np.polyfit(np.log(list(d)), np.log(list(d.values())), 1)[0])  # noqa: E731
    lines = ["# Cost of a spectral density", "", *describe(facts), ""]
    result = {"machine": facts}
    for name, found in (("examples, five steps", by_examples), ("Lanczos steps, 512 examples", by_steps)):
        result[name] = {"seconds": {str(k): v for k, v in found.items()}, "slope": slope(found)}
        lines += [f"| {name} | seconds |", "|--:|--:|", *(f"| {k:,} | {v:.3g} |" for k, v in found.items())]
        lines += ["", f"Slope of the logarithms: {slope(found):.2f}.", ""]
    out = Path(__file__).resolve().parents[1] / "results/benchmarks/curvature-cost"
    out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    out.with_suffix(".md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
