"""Samples and densities by diffusions, flows and interpolants."""

from cadlag.generate.interpolants import Transport as Transport
