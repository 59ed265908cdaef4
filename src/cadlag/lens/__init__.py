"""Looking into a network or its training: curvature, information, oscillation. Functions of ANY Equinox model and
loss, of a `Recorder`'s trace, or of a model's outputs.
"""
