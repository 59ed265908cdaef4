"""Timing the compiler. Needs JAX only, so that peers in other environments share it."""

import time

import jax
import jax.numpy as jnp


def compile_seconds(jitted, args, times):
    """Seconds of tracing, lowering and compiling from empty caches, several times."""
    jax.block_until_ready(jax.jit(lambda x: x @ x)(jnp.ones((2, 2))))  # start the back end first
    seconds = []
    for _ in range(times):
        jax.clear_caches()
        start = time.perf_counter()
        jitted.lower(*args).compile()
        seconds.append(time.perf_counter() - start)
    return seconds
