"""Learn the law of a table: draw new rows, fill in a half-known one, and ask how likely rows are."""

import os
import sys

import numpy as np
from sklearn.datasets import load_iris

from cadlag.generate import Generator

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))

table = load_iris(as_frame=True)
X, y = table.data.to_numpy(), table.target_names[table.target]
generator = Generator(steps=2 if TINY else 2000, batch_size=64).fit(X, y)

print("new flowers:", generator.sample(2, seed=1).round(1).tolist())
print("a virginica:", generator.sample(1, condition="virginica", guidance=1.5).round(1).tolist())
known = np.array([6.0, np.nan, 4.5, np.nan])
print("the rest of", known, "is", generator.condition(known=known).sample(1).round(1).tolist())
print("log-density of the first rows (nats):", generator.log_prob(X[:3]).round(2))
