"""Network blocks used by two systems or more."""

from cadlag.nn._mlp import MLP as MLP
from cadlag.nn._mlp import identity as identity
from cadlag.nn._mlp import lipswish as lipswish
