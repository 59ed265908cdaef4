"""Test settings: strict promotion, ranks must match, shapes checked at run time, compiled code kept on disk."""

import gc
import importlib.metadata
import os
import pathlib

os.environ.setdefault("JAX_ENABLE_X64", "1")
# Code made by the older of XLA's two generators takes a third less time to compile. A flag that XLA does not know ends
# the process, so it is set for releases that have been seen to know it.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
# Threads of LAPACK that wait for one another take a second for a small factorisation on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest

CACHE = pathlib.Path(os.environ.get("CADLAG_TEST_CACHE", pathlib.Path(__file__).parents[1] / ".cache" / "jax"))
# Most of the time goes into compiling programs that then run once, on a few numbers.
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


@pytest.fixture(scope="module", autouse=True)
def forget():
    """Compiled programs go after the file that brings them to too many: a process may not map more than some 65,000
    pieces of memory, each program maps several, and the compiler ends in a segmentation fault once they are used up.
    Until then (some 2 GB) files share them: most small ones, of a single operation, are the same everywhere."""
    yield
    if mapped() > 8_000:
        jax.clear_caches()
        gc.collect()


def mapped():
    """Pieces of memory the process maps; too many to count where the system does not tell."""
    try:
        return pathlib.Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return 1_000_000


@pytest.fixture
def getkey():
    """A function that returns a new key each call, from a fixed seed."""
    state = {"key": jax.random.key(20240506)}

    def get():
        state["key"], key = jax.random.split(state["key"])
        return key

    return get
