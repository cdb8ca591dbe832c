"""The file that MLflow copies into each registered model and runs when one is loaded ("models from code").

It is the only module that does something when it is imported, because MLflow asks for that; nothing imports it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from polymlops.tracking.ranked_replies import load_ranked_replies, posts_of


class RankedRepliesModel(PythonModel):
    """`RankedReplies` behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load adapter, base and reward."""
        self.replies = load_ranked_replies(context.artifacts, context.model_config)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """K ranked candidates for each post: columns post, rank (1 is best), reply, score; k rows a post."""
        ranked = self.replies.rank(posts_of(model_input), params)
        return pd.DataFrame([asdict(reply) for reply in ranked], columns=["post", "rank", "reply", "score"])


set_model(RankedRepliesModel())
