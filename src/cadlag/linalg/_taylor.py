"""Derivatives along a line by propagating Taylor coefficients: cost K² where nested forward mode costs 2^K.

    f(x + s v) = y_0 + y_1 s + … + y_K s^K,    f^(K)(x)[v, …, v] = K! y_K

Griewank and Walther, Evaluating Derivatives (2008), chapter 13. Every coefficient is an array of its own and lower
ones do not depend on K, so that `share` finds what derivatives of several orders have in common.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.linalg._primitives import BILINEAR, binder, linear_in, trace, walk

Series = list[Any]  # y_0 … y_K; None is zero


def derivative_along(
    f: Callable[[Float[Array, " n"]], Array], x: Float[Array, " n"], direction: Float[Array, " n"], order: int
) -> Array:
    """The derivative of `order` >= 1 of s ↦ f(x + s direction) at s = 0, of the shape of f(x).

    Primitives without a rule of their own (solvers, scans, custom derivatives) go by nested forward mode.
    """
    if order < 1:
        raise ValueError(f"order={order} of derivative_along must be at least 1.")
    jaxpr, consts, _ = trace(f, x)
    start = [x, direction, *[None] * (order - 1)]

    def constant(value: Any) -> Series:
        return [value, *[None] * order]

    (out,) = walk(jaxpr, consts, [start], constant, partial(_apply, order))
    return jnp.zeros_like(out[0]) if out[order] is None else math.factorial(order) * out[order]


def _apply(order: int, equation: Any, xs: list[Series]) -> list[Series]:
    bind, name = binder(equation), equation.primitive.name
    varying = [any(c is not None for c in x[1:]) for x in xs]
    if not any(varying):
        return [[y, *[None] * order] for y in bind(*(x[0] for x in xs))]
    places = linear_in(name, varying)
    if name in ("add", "add_any", "sub"):
        return [[bind(*(x[0] for x in xs))[0], *_sum(xs, name == "sub")]]
    if places is not None:
        return [_linear(bind, xs, places)]
    if name in BILINEAR:
        return [_product(lambda a, b: bind(a, b)[0], *xs)]
    if name == "integer_pow" and equation.params["y"] in (2, 3, 4):
        return [_power(xs[0], equation.params["y"])]
    return [_RULES[name](bind, *xs)] if name in _RULES else _by_nesting(bind, xs, varying)


def _sum(xs: list[Series], negate: bool) -> list[Any]:
    """Coefficients 1 … K of x ± y, each broadcast where the other one has the shape."""
    shape = jnp.broadcast_shapes(*(jnp.shape(x[0]) for x in xs))
    total = [(_minus if negate else _plus)(a, b) for a, b in zip(xs[0][1:], xs[1][1:], strict=True)]
    return [c if c is None else jnp.broadcast_to(c, shape) for c in total]


def _linear(bind: Callable, xs: list[Series], places: tuple[int, ...]) -> Series:
    out = [bind(*(x[0] for x in xs))[0]]
    for k in range(1, len(xs[0])):
        if all(xs[i][k] is None for i in places):
            out.append(None)
            continue
        zeroed = [jnp.zeros_like(x[0]) if i in places and x[k] is None else x[k] for i, x in enumerate(xs)]
        out.append(bind(*(zeroed[i] if i in places else x[0] for i, x in enumerate(xs)))[0])
    return out


def _product(times: Callable, a: Series, b: Series) -> Series:
    return [_convolve(times, a, b, k) for k in range(len(a))]


def _convolve(times: Callable, a: Series, b: Series, k: int, first: int = 0, last: int | None = None) -> Any:
    """Σ_j a_j b_{k-j} over first <= j <= last; None where all terms are zero."""
    total = None
    for j in range(first, (k if last is None else last) + 1):
        if a[j] is not None and b[k - j] is not None:
            total = _plus(total, times(a[j], b[k - j]))
    return total


def _times(a: Any, b: Any) -> Any:
    return a * b


def _plus(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _minus(a: Any, b: Any) -> Any:
    return a if b is None else -b if a is None else a - b


def _scaled(a: Any, factor: float | int) -> Any:
    return None if a is None else a if factor == 1 else factor * a


def _slopes(x: Series) -> Series:
    """Coefficients of s x'(s): k x_k."""
    return [None, *(_scaled(c, k) for k, c in enumerate(x[1:], 1))]


def _driven(y0: Any, x: Series, rate: Callable[[Series, int], Any]) -> Series:
    """y' = w x' where coefficient k of w is `rate(y, k)`, known once y_0 … y_k are."""
    y, w, slopes = [y0], [], _slopes(x)
    for k in range(1, len(x)):
        w.append(rate(y, k - 1))
        y.append(_scaled(_convolve(_times, slopes, w, k, first=1), 1 / k))
    return y


def _exp(bind: Callable, x: Series) -> Series:
    return _driven(bind(x[0])[0], x, lambda y, k: y[k])


def _tanh(bind: Callable, x: Series) -> Series:
    def rate(y: Series, k: int) -> Any:
        square = _convolve(_times, y, y, k)
        return 1 - square if k == 0 else _scaled(square, -1)

    return _driven(bind(x[0])[0], x, rate)


def _logistic(bind: Callable, x: Series) -> Series:
    return _driven(bind(x[0])[0], x, lambda y, k: _minus(y[k], _convolve(_times, y, y, k)))


def _sine_and_cosine(x: Series) -> tuple[Series, Series]:
    s, c, slopes = [jnp.sin(x[0])], [jnp.cos(x[0])], _slopes(x)
    for k in range(1, len(x)):
        s_k, c_k = (_convolve(_times, slopes, y, k, first=1) for y in (c, s))
        s.append(_scaled(s_k, 1 / k))
        c.append(_scaled(c_k, -1 / k))
    return s, c


def _sin(bind: Callable, x: Series) -> Series:
    return _sine_and_cosine(x)[0]


def _cos(bind: Callable, x: Series) -> Series:
    return _sine_and_cosine(x)[1]


def _log(bind: Callable, x: Series) -> Series:
    y = [bind(x[0])[0]]
    for k in range(1, len(x)):
        inner = _scaled(_convolve(_times, _slopes(y), x, k, first=1, last=k - 1), 1 / k)
        y.append(_over(_minus(x[k], inner), x[0]))
    return y


def _sqrt(bind: Callable, x: Series) -> Series:
    y = [bind(x[0])[0]]
    for k in range(1, len(x)):
        y.append(_over(_minus(x[k], _convolve(_times, y, y, k, first=1, last=k - 1)), 2 * y[0]))
    return y


def _div(bind: Callable, a: Series, b: Series) -> Series:
    y = [bind(a[0], b[0])[0]]
    for k in range(1, len(a)):
        y.append(_over(_minus(a[k], _convolve(_times, b, [*y, None], k, first=1)), b[0]))
    return y


def _over(a: Any, b: Any) -> Any:
    return None if a is None else a / b


def _power(x: Series, exponent: int) -> Series:
    square = _product(_times, x, x)
    return {2: lambda: square, 3: lambda: _product(_times, square, x), 4: lambda: _product(_times, square, square)}[
        exponent
    ]()


def _square(bind: Callable, x: Series) -> Series:
    return _power(x, 2)


_RULES: dict[str, Callable[..., Series]] = {
    "exp": _exp, "tanh": _tanh, "logistic": _logistic, "sin": _sin, "cos": _cos, "log": _log, "sqrt": _sqrt,
    "div": _div, "square": _square,
}  # fmt: skip


def _by_nesting(bind: Callable, xs: list[Series], varying: list[bool]) -> list[Series]:
    """The coefficients of s ↦ bind(x(s)) by nested forward mode."""
    order = len(xs[0]) - 1
    zero = jnp.zeros((), next(x[0] for x, moves in zip(xs, varying, strict=True) if moves).dtype)

    def curve(s: Array) -> list[Any]:
        return bind(*(_polynomial(x, s) if moves else x[0] for x, moves in zip(xs, varying, strict=True)))

    series, f = [[y] for y in curve(zero)], curve
    for k in range(1, order + 1):
        f = _slope(f)
        for out, y in zip(series, f(zero), strict=True):
            smooth = jnp.issubdtype(jnp.result_type(out[0]), jnp.inexact)
            out.append(y / math.factorial(k) if smooth else None)
    return series


def _slope(f: Callable[[Array], list[Any]]) -> Callable[[Array], list[Any]]:
    def slope(s: Array) -> list[Any]:
        return jax.jvp(f, (s,), (jnp.ones_like(s),))[1]

    return slope


def _polynomial(x: Series, s: Array) -> Any:
    total, power = x[0], s
    for c in x[1:]:
        total = total if c is None else total + c * power
        power = power * s
    return total
