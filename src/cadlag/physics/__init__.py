"""Solutions of a given equation, with no data."""

from cadlag.physics._gp_fit import AbstractGPFit as AbstractGPFit
from cadlag.physics._gp_fit import JointAdam as JointAdam
from cadlag.physics._gp_fit import VariableProjection as VariableProjection
from cadlag.physics._gp_inner import ConjugateGradients as ConjugateGradients
from cadlag.physics._gp_inner import Direct as Direct
from cadlag.physics._gp_objective import GPState as GPState
from cadlag.physics._gp_objective import LogJoint as LogJoint
from cadlag.physics._grid_problem import GridProblem as GridProblem
from cadlag.physics.least_squares import solve_collocation as solve_collocation
from cadlag.physics.least_squares import solve_features as solve_features
from cadlag.physics.gp_spectral import GPSolution as GPSolution
from cadlag.physics.gp_spectral import GPSpectral as GPSpectral
from cadlag.physics.gp_spectral import solve_spectral as solve_spectral
