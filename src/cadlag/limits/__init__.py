"""Networks in the limit of infinite width: exact Gaussian processes, and training in closed form."""

from cadlag.limits._ensemble import WideEnsemble as WideEnsemble
from cadlag.limits._ensemble import wide_ensemble as wide_ensemble
from cadlag.limits._flow import gradient_flow as gradient_flow
from cadlag.limits._process import GaussianProcess as GaussianProcess
from cadlag.limits._process import condition as condition
from cadlag.limits._process import log_marginal_likelihood as log_marginal_likelihood
from cadlag.limits._sampled import SampledKernels as SampledKernels
from cadlag.limits._sampled import sampled_kernels as sampled_kernels
from cadlag.limits.gp import GaussianProcessRegressor as GaussianProcessRegressor
from cadlag.limits.gp import maximise_likelihood as maximise_likelihood
from cadlag.limits.tangent import TangentDynamics as TangentDynamics
from cadlag.limits.tangent import tangent_dynamics as tangent_dynamics
from cadlag.limits.wide import WideNetworkClassifier as WideNetworkClassifier
from cadlag.limits.wide import WideNetworkRegressor as WideNetworkRegressor
