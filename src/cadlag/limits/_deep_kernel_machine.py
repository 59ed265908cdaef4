"""Deep kernel machines with inducing points (Yang et al., ICML 2023, section 5): cost linear in the data.

    L / N = E[log p(y | f)] - (Σ_l nu_l KL(N(0, G_l) ‖ N(0, K(G_{l-1}))) + Σ_c KL(q(u_c) ‖ N(0, K(G_L)))) / N,
the mean over N data; the KL terms are of the p inducing points. KL terms of all outputs are summed, as in the evidence
lower bound. G_l = L R Rᵀ Lᵀ with L Lᵀ = K(G_{l-1}), so that KL_l = (tr R Rᵀ - log det R Rᵀ - p) / 2, and R = I is the
kernel of infinite width (NNGP), which nu → inf enforces.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.kernels import AbstractGramMap
from cadlag.limits._gram_triple import GramTriple, conditional, input_triple, learnt, through, update
from cadlag.limits._inducing import Inducing, Triangle
from cadlag.limits._likelihood import AbstractLikelihood


class DeepKernelMachine(eqx.Module):
    """Kernels whose Gram matrices are learnt, layer by layer.

    **Arguments:**

    - `z`: inducing inputs (p, d).
    - `kernels`: maps from a Gram matrix to a kernel, one more than there are Gram layers; the first acts on products of
      inputs and so starts with `Dense`.
    - `roots`: R of each Gram layer.
    - `output`: the whitened q(u), one covariance for all outputs.
    - `likelihood`.
    - `nu`: weight of the layers' KL terms; inf leaves R = I, the NNGP.
    - `jitter`: see `through`.
    """

    z: Float[Array, "p d"]
    kernels: tuple[AbstractGramMap, ...]
    roots: tuple[Triangle, ...]
    output: Inducing
    likelihood: AbstractLikelihood
    nu: float = eqx.field(static=True)
    jitter: float = eqx.field(static=True, default=1e-4)

    def triples(self, x: Float[Array, "n d"], *, joint: bool = False) -> tuple[GramTriple, ...]:
        """G_1, …, G_L, and last the kernel of the outputs."""
        kernel = through(self.kernels[0], input_triple(self.z, x, joint=joint), self.jitter)
        grams = []
        for root, following in zip(self.roots, self.kernels[1:], strict=True):
            grams.append(kernel if math.isinf(self.nu) else learnt(kernel, root))
            kernel = through(following, grams[-1], self.jitter)
        return (*grams, kernel)

    def latent(self, x: Float[Array, "n d"]) -> tuple[Float[Array, "n outputs"], Float[Array, " n"]]:
        """Means and variances of f at x; outputs are independent and their variances alike."""
        triple = self.triples(x)[-1]
        mean, due, rest = self.output.conditional(conditional(triple).half, triple.t)
        return mean, due + rest

    def covariance(self, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
        """Covariances of one output of f at x."""
        triple = self.triples(x, joint=True)[-1]
        half = conditional(triple).half
        return update(triple.t, half, jnp.matmul(self.output.root.matrix.T, half, precision="highest"))

    def divergence(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """KL terms of the Gram layers, weighted by nu, and of all outputs."""
        outputs = len(self.output.mean)
        last = outputs * self.output.root.kl() + 0.5 * jnp.sum(self.output.mean**2)
        if math.isinf(self.nu) or not self.roots:
            return jnp.zeros_like(last), last
        return self.nu * jnp.sum(jnp.stack([root.kl() for root in self.roots])), last

    def objective(self, x: Float[Array, "n d"], y: Any, total: int, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """L / N from a batch of n of `total` = N examples; y (n, outputs), or classes (n,)."""
        mean, variance = self.latent(x)
        one = lambda m, v, t, k: self.likelihood.expected(m, v, t, key=k)  # noqa: E731
        fit = jnp.mean(jax.vmap(one)(mean, variance, y, jr.split(key, len(x))))
        layers, outputs = self.divergence()
        return fit - (layers + outputs) / total


def deep_kernel_machine(
    kernels: tuple[AbstractGramMap, ...],
    z: Float[Array, "p d"],
    outputs: int,
    likelihood: AbstractLikelihood,
    *,
    nu: float,
    jitter: float = 1e-4,
) -> DeepKernelMachine:
    """The machine as it is before training: the NNGP of the kernels, with q(u) at its prior."""
    p = len(z)
    zeros = lambda: Triangle(jnp.zeros((p, p), z.dtype))  # noqa: E731
    output = Inducing(jnp.zeros((outputs, p), z.dtype), zeros())
    return DeepKernelMachine(z, kernels, tuple(zeros() for _ in kernels[1:]), output, likelihood, nu, jitter)
