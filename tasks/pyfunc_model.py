"""The bundle as an MLflow pyfunc model, loaded from this source and not from a pickle.

Input: a data frame with a binary column ``image`` (JPEG or PNG bytes). Output: a data frame with ``exited`` (bool),
``label`` (0, 1, or -1 where the picture goes to the second stage) and ``probability`` (of roadwork). The digests of the
bundle are verified on load, which MLflow itself does not do.
"""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class Stage1Model(PythonModel):
    """Answers exactly what the bundle answers."""

    def load_context(self, context: Any) -> None:
        """Load and verify the bundle."""
        from stage1_core.bundle.runtime import load_bundle

        self._stage1 = load_bundle(context.artifacts["bundle"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row for each picture."""
        import io

        from PIL import Image

        decisions = self._stage1.decide([Image.open(io.BytesIO(picture)) for picture in model_input["image"]])
        return pd.DataFrame(
            {
                "exited": [decision.exited for decision in decisions],
                "label": [-1 if decision.label is None else decision.label for decision in decisions],
                "probability": [decision.probability for decision in decisions],
            }
        )


mlflow.models.set_model(Stage1Model())
