"""Layers with weights, and how they are put together: `Dense`, `Conv`, sums of branches, one after another."""

import dataclasses
import enum
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.kernels._gram import AbstractGramMap, Gram
from cadlag.kernels._gram_networks import Branches, Chain, ScaledConv, ScaledLinear, scaled_conv, scaled_linear

Number = float | int | Float[Array, ""]
# Up to so many positions a mean over a filter is a product of matrices, beyond a sum of shifted copies.
_SMALL = 256


class Padding(enum.Enum):
    """What a convolution sees beyond the border: zeros, the other end, or no output there."""

    zero = "zeros"
    circular = "the other end"
    valid = "no output"


def _number(value: Any, like: Array) -> Any:
    """A setting as it enters an expression: Python numbers take the dtype of the arrays, arrays are cast."""
    return value if isinstance(value, float | int) else value.astype(like.dtype)


def _check_std(name: str, weight_std: Any, bias_std: Any) -> None:
    for setting, value in (("weight_std", weight_std), ("bias_std", bias_std)):
        if isinstance(value, float | int) and not 0 <= value < float("inf"):
            raise ValueError(f"{setting}={value} of {name}: expected a finite number, not negative.")


def _weighted(gram: Gram, mean: Callable[[Array], Array], weight_std: Any, bias_std: Any) -> Gram:
    """K <- sw² mean(K) + sb², T <- K + sw² mean(T), which all layers with weights have in common."""
    w, b = (_number(value, gram.k12) ** 2 for value in (weight_std, bias_std))
    bare = dataclasses.replace(gram, tangent=None).each(lambda k: w * mean(k) + b, gaussian=True)
    tangent = None if gram.tangent is None else bare.k12 + w * mean(gram.tangent)
    return dataclasses.replace(bare, tangent=tangent)


class Dense(AbstractGramMap):
    """z = (weight_std / sqrt(channels)) W x + bias_std b, W and b standard normal; for images at each position alike.

    **Arguments:**

    - `weight_std`, `bias_std`: numbers, or scalar arrays where they are to be learnt; sqrt(2) keeps variances through
      a ReLU. The paper (Jacot et al., 2018) has 1 and 0.1.
    """

    weight_std: Number = 1.0
    bias_std: Number = 0.0

    def __check_init__(self) -> None:
        _check_std("Dense", self.weight_std, self.bias_std)

    @property
    def joint(self) -> bool:
        """No."""
        return False

    def __call__(self, gram: Gram) -> Gram:
        """K <- weight_std² K + bias_std², T <- K + weight_std² T."""
        return _weighted(gram, lambda k: k, self.weight_std, self.bias_std)

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> ScaledLinear:
        """An affine map over the channels."""
        return scaled_linear(shape[0], width, weight_std=self.weight_std, bias_std=self.bias_std, key=key)


class Conv(AbstractGramMap):
    """A convolution over the axes of an image, its weights scaled by weight_std / sqrt(channels * points of filter).

    **Arguments:**

    - `filter`: its odd sizes along the axes of space.
    - `weight_std`, `bias_std`: as for `Dense`.
    - `stride`: how many points one step of the output is; `padding`: what stands beyond the border.
    """

    filter: tuple[int, ...]
    weight_std: Number = 1.0
    bias_std: Number = 0.0
    stride: int = 1
    padding: Padding = Padding.zero

    def __check_init__(self) -> None:
        _check_std("Conv", self.weight_std, self.bias_std)
        if not self.filter or any(q < 1 or q % 2 == 0 for q in self.filter):
            raise ValueError(f"filter={self.filter} of Conv: expected odd sizes, one for each axis, such as (3, 3).")
        if self.stride < 1:
            raise ValueError(f"stride={self.stride} of Conv: expected 1 or more.")

    @property
    def joint(self) -> bool:
        """No: equal positions are taken to equal ones."""
        return False

    def __call__(self, gram: Gram) -> Gram:
        """K[p, p'] <- weight_std² mean_d K[p + d, p' + d] + bias_std², and T as for `Dense`."""
        self._check(gram.space)
        return _weighted(gram, lambda k: self._mean(k, gram.joint), self.weight_std, self.bias_std)

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> ScaledConv:
        """The convolution with `width` channels."""
        self._check(shape[1:])
        return scaled_conv(
            shape[0], width, self.filter, weight_std=self.weight_std, bias_std=self.bias_std, stride=self.stride,
            wrap=self.padding is Padding.circular, pad=self.padding is not Padding.valid, key=key,
        )  # fmt: skip

    def _check(self, space: tuple[int, ...]) -> None:
        if len(space) != len(self.filter):
            raise ValueError(
                f"Conv: a filter {self.filter} for inputs with axes of space {space}; expected examples of shape "
                f"(channels, {', '.join('n' for _ in self.filter)}), and no Flatten before."
            )
        if any(q > n for q, n in zip(self.filter, space, strict=True)):
            raise ValueError(f"Conv: a filter {self.filter} is larger than the image {space}.")

    def _mean(self, k: Array, joint: bool) -> Array:
        axes, sizes = len(self.filter), k.shape[2 : 2 + len(self.filter)]
        if not joint and math.prod(sizes) <= _SMALL:
            return self._by_matrix(k, tuple(range(2, 2 + axes)), tuple(range(axes)))
        for j, size in enumerate(sizes):
            places = (2 + j, 2 + axes + j) if joint else (2 + j,)
            small = joint and size**2 <= _SMALL
            k = self._by_matrix(k, places, (j,)) if small else self._by_shifts(k, places, self.filter[j])
        return k

    def _by_matrix(self, k: Array, places: tuple[int, ...], axes: tuple[int, ...]) -> Array:
        """The mean over one or more axes of the filter as a product of matrices, fast where positions are few."""
        sizes = [k.shape[p] for p in places]
        matrix = jnp.eye(math.prod(sizes), dtype=k.dtype).reshape(1, -1, *sizes)
        if len(axes) == len(places):
            for place, j in enumerate(axes, start=2):
                matrix = self._by_shifts(matrix, (place,), self.filter[j])
        else:
            matrix = self._by_shifts(matrix, (2, 3), self.filter[axes[0]])
        last = tuple(range(-len(places), 0))
        moved = jnp.moveaxis(k, places, last)
        flat = moved.reshape(*moved.shape[: -len(places)], -1)
        out = jnp.matmul(flat, matrix[0].reshape(len(matrix[0]), -1), precision="highest")
        return jnp.moveaxis(out.reshape(*out.shape[:-1], *matrix.shape[2:]), last, places)

    def _by_shifts(self, k: Array, places: tuple[int, ...], size: int) -> Array:
        """The mean over one axis of the filter, along these places at once."""
        return (
            sum((self._shifted(k, places, d, size) for d in range(1, size)), self._shifted(k, places, 0, size)) / size
        )

    def _shifted(self, k: Array, places: tuple[int, ...], shift: int, size: int) -> Array:
        """The values that stand `shift` - size // 2 further along, at the positions of the output."""
        half = size // 2
        if self.padding is not Padding.valid:
            widths = [(half, half) if a in places else (0, 0) for a in range(k.ndim)]
            k = jnp.pad(k, widths, mode="wrap" if self.padding is Padding.circular else "constant")
        for axis in places:
            stop = shift + k.shape[axis] - size + 1
            k = jax.lax.slice_in_dim(k, shift, stop, self.stride, axis)
        return k


class Add(AbstractGramMap):
    """The sum of branches with weights of their own on the same input: K and T add.

    Covariances between branches vanish where all but one end in weights; others are refused.

    **Arguments:**

    - `branches`: maps; `Identity()` is the skip connection (`Residual`).
    """

    branches: tuple[AbstractGramMap, ...]

    def __init__(self, *branches: Any) -> None:
        self.branches = tuple(check_map("Add", branch) for branch in branches)
        if len(self.branches) < 2:
            raise ValueError(f"Add of {len(branches)} branches: expected two or more, such as Add(Identity(), branch).")

    @property
    def joint(self) -> bool:
        """Whether a branch does."""
        return any(branch.joint for branch in self.branches)

    def __call__(self, gram: Gram) -> Gram:
        """The sum of states."""
        ends = [branch(gram) for branch in self.branches]
        if len({end.k12.shape for end in ends}) > 1:
            raise ValueError(
                f"Add: branches leave images of {[end.space for end in ends]}; use the same strides and padding."
            )
        if sum(not _independent(branch) for branch in self.branches) > 1:
            raise ValueError(
                "Add: two branches do not end in weights, so their sum has a covariance between them that no closed "
                "form holds. End all but one with Dense or Conv."
            )
        arrays = jax.tree.map(lambda *ks: sum(ks[1:], ks[0]), *[(e.k12, e.k11, e.k22, e.tangent) for e in ends])
        k12, k11, k22, tangent = arrays
        gaussian = all(end.gaussian for end in ends)
        return dataclasses.replace(gram, k12=k12, k11=k11, k22=k22, tangent=tangent, gaussian=gaussian)

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Branches:
        """The branches, whose outputs must have the same shape."""
        keys = jr.split(key, len(self.branches))
        layers = tuple(b.layer(shape, width, key=k) for b, k in zip(self.branches, keys, strict=True))
        shapes = {out_shape(layer, shape) for layer in layers}
        if len(shapes) > 1:
            raise ValueError(
                f"Add: at width {width} branches leave shapes {sorted(shapes)} of an input {shape}; a skip connection "
                "needs as many channels before as after, so start with Dense or Conv."
            )
        return Branches(layers)


class Serial(AbstractGramMap):
    """Maps one after another: `Serial(Dense(), ReLU(), Dense())` is a network with one hidden layer."""

    maps: tuple[AbstractGramMap, ...]

    def __init__(self, *maps: Any) -> None:
        if not maps:
            raise ValueError("Serial of no maps: expected at least one, such as Serial(Dense(), ReLU(), Dense()).")
        self.maps = tuple(check_map("Serial", m) for m in maps)

    @property
    def joint(self) -> bool:
        """Whether one of the maps does."""
        return any(m.joint for m in self.maps)

    def __call__(self, gram: Gram) -> Gram:
        """The last state."""
        for m in self.maps:
            gram = m(gram)
        return gram

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Chain:
        """The layers, each for the shape that the one before leaves."""
        layers = []
        for m, k in zip(self.maps, jr.split(key, len(self.maps)), strict=True):
            layers.append(m.layer(shape, width, key=k))
            shape = out_shape(layers[-1], shape)
        return Chain(tuple(layers))


def out_shape(layer: Callable[[Array], Array], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a layer's output."""
    return jax.eval_shape(layer, jax.ShapeDtypeStruct(shape, jnp.float32)).shape


def _independent(branch: AbstractGramMap) -> bool:
    """Whether a branch ends in weights of its own, which make it uncorrelated with all else."""
    if isinstance(branch, Serial):
        return _independent(branch.maps[-1]) or (len(branch.maps) > 1 and _keeps_sign(branch.maps))
    if isinstance(branch, Add):
        return all(_independent(b) for b in branch.branches)
    return isinstance(branch, Dense | Conv)


def _keeps_sign(maps: tuple[AbstractGramMap, ...]) -> bool:
    """Whether the last map is odd in its input, as norms and pooling are, and what comes before ends in weights."""
    from cadlag.kernels._gram_shapes import AveragePool, Flatten, Identity, LayerNorm, RMSNorm

    linear = isinstance(maps[-1], AveragePool | Flatten | Identity | LayerNorm | RMSNorm)
    return linear and _independent(Serial(*maps[:-1]))


_REASONS = {
    "MultiheadAttention": "softmax attention has random weights at finite heads, and no closed form; average over "
    "networks, `limits.sampled_kernels`, which gives an error bar",
    "softmax": "it couples all units of a layer; average over networks, `limits.sampled_kernels`",
    "BatchNorm": "its output depends on the batch, so it is no function of one example; use LayerNorm()",
    "MaxPool": "the maximum of correlated Gaussians has no closed form; use AveragePool()",
    "Linear": "finite layers have no exact kernel; use Dense()",
}


def check_map(what: str, m: Any) -> AbstractGramMap:
    """The map itself; TypeError with advice for anything else."""
    if isinstance(m, AbstractGramMap):
        return m
    name = getattr(m, "__name__", type(m).__name__)
    reason = next((text for key, text in _REASONS.items() if name.startswith(key)), None)
    if reason is None:
        reason = "maps are objects such as Dense(), ReLU(), LayerNorm(); a function f is Elementwise(f)"
    raise TypeError(f"{what}: {name} is not a GramMap: {reason}.")
