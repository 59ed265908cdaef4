"""Physics-informed training: what every contestant solves. NumPy only.

The residuals are u_t + u u_x - 0.01/π u_xx (Burgers), u_t - 1e-4 u_xx + 5 u³ - 5 u (Allen-Cahn) and
-Δu - 10 π² ∏ sin(π x_i) in ten dimensions (Poisson), at points of [-1, 1]^d that stay; no conditions. The network has
four hidden layers of 64 tanh; Adam at 1e-3; float32.
"""

import numpy as np

WIDTH, DEPTH, RATE = 64, 4, 1e-3
DIMENSION = {"burgers": 2, "allen-cahn": 2, "poisson": 10}


def points(options):
    """Points (n, d), time first."""
    shape = options["points"], DIMENSION[options["equation"]]
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
