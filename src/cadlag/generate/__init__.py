"""Samples and densities by diffusions, flows and interpolants."""

from cadlag.generate._conditioned import Conditioned as Conditioned
from cadlag.generate._flow_model import ConcatSquash as ConcatSquash
from cadlag.generate._flow_model import FlowLoss as FlowLoss
from cadlag.generate._flow_model import FlowModel as FlowModel
from cadlag.generate._flow_model import concat_squash as concat_squash
from cadlag.generate._networks import Beside as Beside
from cadlag.generate._networks import mlp as mlp
from cadlag.generate._networks import mlp_beside as mlp_beside
from cadlag.generate._networks import unet as unet
from cadlag.generate._networks import unet_beside as unet_beside
from cadlag.generate.adjoint import AbstractTarget as AbstractTarget
from cadlag.generate.adjoint import Condition as Condition
from cadlag.generate.adjoint import InitialNoise as InitialNoise
from cadlag.generate.adjoint import Steered as Steered
from cadlag.generate.adjoint import Weights as Weights
from cadlag.generate.adjoint import steer as steer
from cadlag.generate.continuous_flow import ContinuousFlow as ContinuousFlow
from cadlag.generate.generator import Generator as Generator
from cadlag.generate.interpolants import Transport as Transport
from cadlag.generate.mean_reverting import Restorer as Restorer
