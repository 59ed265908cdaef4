"""Double precision: JAX cuts float64 to float32 without a word unless told otherwise. Here it is an error."""

import contextlib
from collections.abc import Iterator

import jax


def has_x64() -> bool:
    """Whether float64 arrays exist in this process (or scope)."""
    return jax.dtypes.canonicalize_dtype("float64") == "float64"


def require_x64(reason: str) -> None:
    """Raise `ValueError` where float64 would be cut to float32; `reason` says what needs it, and why."""
    if not has_x64():
        raise ValueError(
            f"precision: {reason} needs float64, but this process works in float32 and JAX would cut the "
            "numbers silently. Set JAX_ENABLE_X64=1 before starting Python, or call it inside "
            "`with cadlag.train.enable_x64():`."
        )


@contextlib.contextmanager
def enable_x64() -> Iterator[None]:
    """A scope with float64; arrays made inside keep their dtype after it, the rest is untouched."""
    with jax.enable_x64(True):
        yield
