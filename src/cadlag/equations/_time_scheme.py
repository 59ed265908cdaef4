"""Implicit and explicit steps in time as residuals."""

import equinox as eqx


class TimeScheme(eqx.Module):
    """Σ_j alpha_j u_{n+1-j} / dt = Σ_j beta_j rate(u_{n+1-j}), a linear multistep method.

    **Arguments:**

    - `alpha`, `beta`: weights of the new state and of the states before it, the last one first.
    """

    alpha: tuple[float, ...] = eqx.field(static=True)
    beta: tuple[float, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        if len(self.alpha) != len(self.beta) or len(self.alpha) < 2:
            raise ValueError(
                f"TimeScheme: {len(self.alpha)} weights of states and {len(self.beta)} of rates; expected as many of "
                "each, two or more."
            )
        if abs(sum(self.alpha)) > 1e-12:
            raise ValueError(f"TimeScheme: alpha={self.alpha} adds up to {sum(self.alpha)}; a state at rest needs 0.")

    @staticmethod
    def forward_euler() -> "TimeScheme":
        """Order 1, explicit."""
        return TimeScheme((1.0, -1.0), (0.0, 1.0))

    @staticmethod
    def backward_euler() -> "TimeScheme":
        """Order 1, damps everything."""
        return TimeScheme((1.0, -1.0), (1.0, 0.0))

    @staticmethod
    def crank_nicolson() -> "TimeScheme":
        """Order 2, damps nothing."""
        return TimeScheme((1.0, -1.0), (0.5, 0.5))

    @staticmethod
    def bdf2() -> "TimeScheme":
        """Order 2 from two states before, damps what is stiff."""
        return TimeScheme((1.5, -2.0, 0.5), (1.0, 0.0, 0.0))
