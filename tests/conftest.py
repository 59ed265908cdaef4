"""Test settings: strict promotion, ranks must match, shapes checked at run time, compiled code kept on disk."""

import gc
import os
import pathlib

os.environ.setdefault("JAX_ENABLE_X64", "1")
# Threads of LAPACK that wait for one another take a second for a small factorisation on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest

CACHE = pathlib.Path(os.environ.get("CADLAG_TEST_CACHE", pathlib.Path(__file__).parents[1] / ".cache" / "jax"))
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


@pytest.fixture(scope="module", autouse=True)
def forget():
    """Compiled programs go with the file that made them: a process may not map more than some 65,000 pieces of memory,
    each program maps several, and the compiler ends in a segmentation fault once they are used up."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def getkey():
    """A function that returns a new key each call, from a fixed seed."""
    state = {"key": jax.random.key(20240506)}

    def get():
        state["key"], key = jax.random.split(state["key"])
        return key

    return get
