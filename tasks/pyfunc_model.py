"""The bundle as an MLflow pyfunc model, loaded from this source and not from a pickle.

Input: a data frame with a binary column ``image`` (JPEG or PNG bytes). Output: a data frame with ``exited`` (bool),
``label`` (0, 1, or -1 where the picture goes to the second stage), ``probability`` (of roadwork) and ``stage_b_label``
(0, 1, or -1 where stage B is not asked; not certified). The digests of the bundle are verified on load, which MLflow
itself does not do.
"""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel

NO_LABEL = -1
"""Stands for None: MLflow's integer columns have no word for it."""


class Stage1Model(PythonModel):
    """Answers exactly what the bundle answers."""

    def load_context(self, context: Any) -> None:
        """Load and verify the bundle. Raises `BundleError` where it is not what was sealed."""
        from stage1_core.bundle.runtime import load_bundle

        self._stage1 = load_bundle(context.artifacts["bundle"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row for each picture. Raises `MlflowException`, a bad request, naming a picture that cannot be read."""
        from stage1_core.errors import DataError

        try:
            decisions = self._stage1.decide(list(model_input["image"]))
        except DataError as error:
            raise MlflowException(str(error), error_code=BAD_REQUEST) from error
        return pd.DataFrame(
            {
                "exited": [decision.exited for decision in decisions],
                "label": [_number(decision.label) for decision in decisions],
                "probability": [decision.probability for decision in decisions],
                "stage_b_label": [_number(decision.stage_b_label) for decision in decisions],
            }
        )


def _number(label: int | None) -> int:
    return NO_LABEL if label is None else label


mlflow.models.set_model(Stage1Model())
