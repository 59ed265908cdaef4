"""Expressions: trees of operators, variables and constants, written as tokens in prefix order.

    x1 / (x1 + 1)   is   / x1 + x1 1          (an operator, then its arguments from the left)

One expression is a function of its variables with its constants as learnt leaves; a whole population of them, padded
to one length, is evaluated by a scan over positions from the right, the second argument of a node standing behind all
of its first (`evaluate_tokens`).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from cadlag.equations._operators import Operator
from cadlag.solve import ODE

PAD, CONSTANT, FIRST_VARIABLE = 0, 1, 2


class Vocabulary(eqx.Module):
    """Numbers for tokens: 0 padding, 1 a constant, then the variables, then the operators.

    Example: in `Vocabulary(2, ARITHMETIC)` the tokens 2 and 3 are x0 and x1, 4 to 7 are + - * /.
    """

    variables: int = eqx.field(static=True)
    operators: tuple[Operator, ...] = eqx.field(static=True)

    @property
    def first_operator(self) -> int:
        """Number of the first operator."""
        return FIRST_VARIABLE + self.variables

    @property
    def arities(self) -> tuple[int, ...]:
        """Arguments that each token takes."""
        return (0,) * self.first_operator + tuple(op.arity for op in self.operators)


class Expression(eqx.Module):
    """A formula in x0, x1, ...: a function whose constants are learnt leaves.

    **Arguments:**

    - `tokens`: in prefix order; an `Operator`, an integer i for the variable x_i, or None for the next constant.
    - `constants`: their values, shape (constants,).

    Example: `Expression((DIVIDE, 1, ADD, 1, None), jnp.array([1.0]))` prints as `x1 / (x1 + 1)`.
    """

    tokens: tuple[Operator | int | None, ...] = eqx.field(static=True)
    constants: Float[Array, " constants"]

    def __check_init__(self):
        wanted = 1
        for token in self.tokens:
            # Each token fills one open place and opens as many as it has arguments.
            if wanted == 0:
                break
            wanted += (token.arity if isinstance(token, Operator) else 0) - 1
            whole = token is None or isinstance(token, Operator) or (isinstance(token, int) and token >= 0)
            if not whole:
                raise ValueError(f"tokens holds {token!r}; expected an Operator, a variable's number >= 0, or None.")
        else:
            if wanted == 0 and self.constants.shape == (self.tokens.count(None),):
                return
        raise ValueError(
            f"tokens ({len(self.tokens)}) and constants {self.constants.shape} are not one expression in prefix order: "
            "every operator needs its arguments behind it, nothing may be left over, and each None takes one constant."
        )

    @property
    def size(self) -> int:
        """Number of tokens, by which complexity is counted."""
        return len(self.tokens)

    def __call__(self, x: ArrayLike) -> Float[Array, "..."]:
        """The value at x, whose first axis numbers the variables; any further axes are points."""
        x = jnp.asarray(x)
        most = max((t for t in self.tokens if isinstance(t, int)), default=-1)
        if x.ndim == 0 or x.shape[0] <= most:
            raise ValueError(f"x has shape {x.shape}, but the expression reads x{most}: expected (variables, ...).")
        leaf = lambda t, c: jnp.full_like(x[0], 1) * c.astype(x.dtype) if t is None else x[t]  # noqa: E731
        return self._fold(leaf, lambda op, *parts: op.apply(*parts))

    def __str__(self) -> str:
        """The formula, constants to four digits."""
        leaf = lambda t, c: (_number(c), 5 if c >= 0 else 0) if t is None else (f"x{t}", 5)  # noqa: E731
        return self._fold(leaf, _print)[0]

    def rounded(self, decimals: int = 2) -> "Expression":
        """The same with constants rounded."""
        return eqx.tree_at(lambda e: e.constants, self, jnp.round(self.constants, decimals))

    def _fold(self, leaf: Any, node: Any) -> Any:
        """From the leaves up: `leaf(token, constant or None)`, `node(operator, *children)`."""
        stack, constants = [], list(self.constants)
        for token in reversed(self.tokens):
            if isinstance(token, Operator):
                stack.append(node(token, *(stack.pop() for _ in range(token.arity))))
            else:
                stack.append(leaf(token, constants.pop() if token is None else None))
        return stack.pop()


class ExpressionField(eqx.Module):
    """The vector field whose components are expressions of the state; `expression_ode` makes a process of it.

    Example: `ExpressionField((first, second))(0.0, y, None)` has shape (2,).
    """

    components: tuple[Expression, ...]

    def __call__(self, t: Any, y: Float[Array, " components"], args: Any) -> Float[Array, " components"]:
        """The components' values, shape (components,)."""
        return jnp.stack([component(y) for component in self.components])


def expression_ode(*components: Expression) -> ODE:
    """The process dy_i/dt = components[i](y), with the expressions' constants as parameters that can be trained.

    Example: `solve(expression_ode(first, second), y0, ts)`, where x0 and x1 are the two components of the state.
    """
    if not components:
        raise ValueError("expression_ode needs an expression for each component of the state.")
    most = max((t for c in components for t in c.tokens if isinstance(t, int)), default=0)
    if most >= len(components):
        raise ValueError(
            f"An expression reads x{most}, but {len(components)} expressions give a state of as many components."
        )
    return ODE(ExpressionField(components))


def subtree_sizes(tokens: Int[Array, " length"], vocabulary: Vocabulary) -> Int[Array, " length"]:
    """Tokens of the subtree that starts at each position; 0 at padding."""
    length = tokens.shape[0]
    arity = jnp.asarray(vocabulary.arities, jnp.int32)[tokens]

    def one(sizes: Array, i: Array) -> tuple[Array, None]:
        left = sizes[i + 1]
        right = sizes[jnp.minimum(i + 1 + left, length)]
        here = 1 + jnp.where(arity[i] > 0, left, 0) + jnp.where(arity[i] > 1, right, 0)
        return sizes.at[i].set(jnp.where(tokens[i] == PAD, 0, here)), None

    sizes = jnp.zeros(length + 1, jnp.int32)
    return jax.lax.scan(one, sizes, jnp.arange(length, dtype=jnp.int32), reverse=True)[0][:-1]


def evaluate_tokens(
    tokens: Int[Array, " length"],
    constants: Float[Array, " length"],
    x: Float[Array, "variables points"],
    vocabulary: Vocabulary,
) -> Float[Array, " points"]:
    """Values of one expression, padded behind with 0, at all points; `jax.vmap` makes a population.

    Example: the tokens (7, 3, 4, 3, 1) of `Vocabulary(2, ARITHMETIC)` with a 1 as fifth constant are x1 / (x1 + 1).

    `constants` has a number at the position of each constant; what stands elsewhere is not read. Differentiate by
    forward mode: an operator not chosen may have no finite derivative, and only there it does no harm.
    """
    length = tokens.shape[0]
    behind = jnp.arange(1, length + 1, dtype=jnp.int32) + jnp.append(subtree_sizes(tokens, vocabulary)[1:], 0)
    zero = jnp.zeros_like(x[0])

    def one(values: Array, row: tuple) -> tuple[Array, None]:
        i, token, constant, right = row
        first, second = values[i + 1], values[jnp.minimum(right, length)]
        out = jnp.where(token == CONSTANT, zero + constant, zero)
        for k in range(vocabulary.variables):
            out = jnp.where(token == FIRST_VARIABLE + k, x[k], out)
        for k, op in enumerate(vocabulary.operators):
            value = op.apply(first, second) if op.arity == 2 else op.apply(first)
            out = jnp.where(token == vocabulary.first_operator + k, value, out)
        return values.at[i].set(out), None

    rows = (jnp.arange(length, dtype=jnp.int32), tokens, constants, behind)
    start = jnp.zeros((length + 1, *zero.shape), zero.dtype)
    return jax.lax.scan(one, start, rows, reverse=True)[0][0]


def to_expression(tokens: ArrayLike, constants: ArrayLike, vocabulary: Vocabulary) -> Expression:
    """The padded tokens of one expression as an `Expression`."""
    tokens, constants = np.asarray(tokens), np.asarray(constants)
    table = [None, None, *range(vocabulary.variables), *vocabulary.operators]
    kept = tuple(table[t] for t in tokens[tokens != PAD])
    return Expression(kept, jnp.asarray(constants[tokens == CONSTANT]))


def _number(c: Any) -> str:
    return f"{float(c):.4g}"


def _print(op: Operator, *parts: tuple[str, int]) -> tuple[str, int]:
    """Text and how tightly it holds together; brackets where a part is looser than its place wants."""
    if op.binds == 4:
        return f"{op.name}({', '.join(text for text, _ in parts)})", 5
    if op.arity == 1:
        return f"{op.name}{_wrap(parts[0], op.binds + 1)}", 0
    # Signs are read from the left, so a right argument must hold together more tightly; a sign in front of all stays.
    left = parts[0][0] if parts[0][1] == 0 and op.binds < 3 else _wrap(parts[0], op.binds)
    if op.name in "+-":
        # a + -b is a - b.
        text, level = parts[1]
        right = text if level == 0 else _wrap(parts[1], op.binds + 1)
        name = {"+": "-", "-": "+"}[op.name] if right.startswith("-") else op.name
        return f"{left} {name} {right.removeprefix('-')}", op.binds
    return f"{left} {op.name} {_wrap(parts[1], op.binds + 1)}", op.binds


def _wrap(part: tuple[str, int], least: int) -> str:
    return part[0] if part[1] >= least else f"({part[0]})"
