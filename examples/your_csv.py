"""From a table in long form to predictions in another table; replace the file by your own.

On the command line: `cadlag fit series data.csv --id patient --time hours --label outcome`.
"""

import os
import pathlib
import sys
import tempfile

import numpy as np
import pandas as pd

from cadlag.data import read_long, write_predictions
from cadlag.series import GRUD, SeriesClassifier

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, epochs = (8, 1) if TINY else (80, 30)
folder = pathlib.Path(tempfile.mkdtemp())

rng, rows = np.random.default_rng(0), []
for patient in range(count):
    ill = patient % 2
    for hour in np.sort(rng.choice(48, size=rng.integers(5, 9), replace=False)):
        pulse = 70 + ill * hour + rng.normal(0, 5) if rng.random() < 0.8 else None  # an empty field is missing
        rows.append((patient, hour, pulse, 37 + 0.5 * ill + rng.normal(0, 0.3), "ill" if ill else "well"))
pd.DataFrame(rows, columns=["patient", "hours", "pulse", "fever", "outcome"]).to_csv(folder / "data.csv", index=False)

series = read_long(folder / "data.csv", id="patient", time="hours", label="outcome")
classifier = SeriesClassifier(GRUD, epochs=epochs).fit(series)
write_predictions(folder / "predictions.csv", {"outcome": classifier.predict(series)}, ids=series.ids, id="patient")
print(pd.read_csv(folder / "predictions.csv").head())
