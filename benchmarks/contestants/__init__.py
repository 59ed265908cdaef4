"""What races: each module has `prepare(options)`, which returns the step, compile seconds and versions."""
