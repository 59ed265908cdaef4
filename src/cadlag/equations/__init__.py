"""Equations, their conditions, and problems with known answers."""

from cadlag.equations._condition import Condition as Condition
from cadlag.equations._condition import dirichlet as dirichlet
from cadlag.equations._condition import initial as initial
from cadlag.equations._condition import neumann as neumann
from cadlag.equations._equation import AbstractEquation as AbstractEquation
from cadlag.equations._equation import AbstractEvolution as AbstractEvolution
from cadlag.equations._equation import Equation as Equation
from cadlag.equations._equation import manufactured as manufactured
from cadlag.equations.bank import Problem as Problem
from cadlag.equations.bank import euler_stationary_variance as euler_stationary_variance
from cadlag.equations.bank import geometric_brownian_motion as geometric_brownian_motion
from cadlag.equations.bank import linear_ode as linear_ode
from cadlag.equations.bank import ornstein_uhlenbeck as ornstein_uhlenbeck
from cadlag.equations.bank import sine_growth as sine_growth
