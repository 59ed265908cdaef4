"""What stands in the inner nodes of an expression: functions of one or two arguments with a way to print them."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array


class Operator(eqx.Module):
    """A function of one or two arrays, elementwise.

    **Arguments:** `name`, as printed: a sign between two arguments, or a function's name; `arity`, 1 or 2; `apply`, of
    that many arrays of one shape; `binds`, how tightly a sign holds its arguments together (a sum 1, a product 2, a
    power 3, a function's name 4).

    Where a value is not finite an expression counts as wrong, so division needs no protection.

    Example: `Operator("tanh", 1, jnp.tanh)`.
    """

    name: str = eqx.field(static=True)
    arity: int = eqx.field(static=True)
    apply: Callable[..., Array] = eqx.field(static=True)
    binds: int = eqx.field(static=True, default=4)

    def __check_init__(self):
        if self.arity not in (1, 2):
            raise ValueError(f"Operator {self.name!r} has arity {self.arity}; expected 1 or 2.")


def _add(a: Array, b: Array) -> Array:
    return a + b


def _subtract(a: Array, b: Array) -> Array:
    return a - b


def _multiply(a: Array, b: Array) -> Array:
    return a * b


def _divide(a: Array, b: Array) -> Array:
    return a / b


def _negate(a: Array) -> Array:
    return -a


# Functions with names of their own, so that expressions can be saved.
ADD = Operator("+", 2, _add, 1)
SUBTRACT = Operator("-", 2, _subtract, 1)
MULTIPLY = Operator("*", 2, _multiply, 2)
DIVIDE = Operator("/", 2, _divide, 2)
NEGATE = Operator("-", 1, _negate, 2)
SIN = Operator("sin", 1, jnp.sin)
COS = Operator("cos", 1, jnp.cos)
EXP = Operator("exp", 1, jnp.exp)
LOG = Operator("log", 1, jnp.log)
SQUARE = Operator("square", 1, jnp.square)

ARITHMETIC = (ADD, SUBTRACT, MULTIPLY, DIVIDE)
"""The four operations."""
