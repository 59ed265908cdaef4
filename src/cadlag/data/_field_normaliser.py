"""Scaling of fields by mean and standard deviation, fitted on the training part and saved with the model."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.data._field_checks import names_of
from cadlag.data._fields import FieldDataset


class FieldNormaliser(eqx.Module):
    """z = (u - mean) / sd, channel by channel.

    Make it with `fit` on the training part alone, and apply it everywhere: in validation, roll-outs and predictions.
    Its numbers are not trained: no gradient flows into them.

    - `mean`, `sd`: (channels, 1, …, 1) or, pixel by pixel, (channels, *space).
    - `channels`: their names.
    """

    mean: Float[Array, "channels ..."]
    sd: Float[Array, "channels ..."]
    channels: tuple[str, ...] = eqx.field(static=True)

    @classmethod
    def fit(
        cls, dataset: FieldDataset, *, per_pixel: bool = False, eps: float | int = 1e-5, shard: int = 32
    ) -> "FieldNormaliser":
        """Mean and standard deviation over examples and frames, and over space unless `per_pixel`.

        Pixel by pixel, `eps` times the channel's root mean square of all deviations is added to each, for values that
        do not vary, as on a Dirichlet boundary. A channel that is constant altogether gets sd = 1.

        Fields in files are read `shard` examples at a time; sums are kept in float64 and merged as in Chan, Golub and
        LeVeque (1983), so a mean far from zero costs no digits.

        **Raises:** ValueError for a single field in all where `per_pixel` needs two, and for NaN in a file.
        """
        space = () if per_pixel else tuple(range(3, 3 + len(dataset.axes)))
        if per_pixel and len(dataset) * dataset.frames < 2:
            raise ValueError("`FieldNormaliser.fit`: per_pixel needs two fields or more; there is a single one.")
        count, mean, square = 0.0, np.zeros(()), np.zeros(())
        for first in range(0, len(dataset), shard):
            block = np.asarray(dataset[first : first + shard].values, np.float64)
            axes, size = (0, 1, *space), block.shape[0] * block.shape[1] * np.prod([block.shape[a] for a in space])
            new = block.mean(axes, keepdims=True)
            spread = np.square(block - new).sum(axes, keepdims=True)
            shift, total = new - mean, count + size
            mean = mean + shift * size / total
            square = square + spread + np.square(shift) * count * size / total
            count = total
        dtype = jax.dtypes.canonicalize_dtype(dataset.values.dtype)
        mean, sd = mean[0, 0], _safe(mean[0, 0], np.sqrt(square / count)[0, 0], eps if per_pixel else 0.0, dtype)
        return cls(jnp.asarray(mean, dtype), jnp.asarray(sd, dtype), dataset.channels)

    def select(self, channels: Sequence[str] | str) -> "FieldNormaliser":
        """The scaling of some channels, in the order of their names."""
        wanted = names_of(channels)
        unknown = [name for name in wanted if name not in self.channels]
        if unknown:
            raise ValueError(f"`channels`: {unknown} were not scaled; the channels are {', '.join(self.channels)}.")
        places = np.asarray([self.channels.index(name) for name in wanted])
        return FieldNormaliser(self.mean[places], self.sd[places], wanted)

    def normalise(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Fields (..., channels, *space) to mean 0 and standard deviation 1."""
        mean, scale = self._like(u)
        return (u - mean) / scale

    def denormalise(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """Back to the data's own units."""
        mean, scale = self._like(z)
        return z * scale + mean

    def _like(self, u: Float[Array, "..."]) -> tuple[Array, Array]:
        rank, shape = self.mean.ndim, tuple(self.mean.shape)
        tail = u.shape[u.ndim - rank :]
        if u.ndim < rank or any(
            k != n and (k != 1 or i == 0) for i, (k, n) in enumerate(zip(shape, tail, strict=True))
        ):
            what = "per pixel, so on this grid only" if max(shape[1:]) > 1 else "channel by channel"
            raise ValueError(
                f"This scaling was fitted {what}, for {self.channels}: expected (..., {', '.join(map(str, shape))}), "
                f"where 1 is any length, but got {tuple(u.shape)}."
            )
        mean, scale = (jax.lax.stop_gradient(x).astype(u.dtype) for x in (self.mean, self.sd))
        ones = (1,) * (u.ndim - rank)
        return mean.reshape(ones + shape), scale.reshape(ones + shape)


def _safe(mean: np.ndarray, sd: np.ndarray, eps: float | int, dtype: np.dtype) -> np.ndarray:
    """Deviations that can be divided by."""
    space = tuple(range(1, sd.ndim))
    overall = np.sqrt(np.mean(np.square(sd), axis=space, keepdims=True))
    size = np.max(np.abs(mean), axis=space, keepdims=True)
    # A constant's deviation is not zero but a rounding of its mean.
    return np.where(overall > 8 * np.finfo(dtype).eps * size, sd + eps * overall, 1)
