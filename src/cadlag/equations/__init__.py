"""Equations, and problems with known answers."""

from cadlag.equations.bank import Problem as Problem
from cadlag.equations.bank import euler_stationary_variance as euler_stationary_variance
from cadlag.equations.bank import geometric_brownian_motion as geometric_brownian_motion
from cadlag.equations.bank import linear_ode as linear_ode
from cadlag.equations.bank import ornstein_uhlenbeck as ornstein_uhlenbeck
from cadlag.equations.bank import sine_growth as sine_growth
