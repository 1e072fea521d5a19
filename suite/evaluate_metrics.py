"""The metrics of :mod:`suite.scoring` as ``evaluate.Metric`` subclasses, for code that expects those.

    from suite.evaluate_metrics import Matthews
    Matthews().compute(predictions=[0, 1, 1], references=[0, 1, 0])     # {"matthews": 0.5}

Nothing in Lightboard imports this module: ``import evaluate`` takes many seconds of processor time.
"""

from __future__ import annotations

import datasets
import evaluate
import numpy as np

from suite import scoring


class _Metric(evaluate.Metric):  # type: ignore[misc]
    """``kind`` names the function in :data:`suite.scoring.METRICS`; the answer has the same name."""

    kind: str
    dtype: str

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features(
            {side: datasets.Value(self.dtype) for side in ("predictions", "references")}
        )
        about = (scoring.METRICS[self.kind].__doc__ or "").partition("\n")[0]
        return evaluate.MetricInfo(
            description=about, citation="", inputs_description=f"predictions, references: {self.dtype}",
            features=features,
        )  # fmt: skip

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        value, _ = scoring.METRICS[self.kind](np.asarray(predictions), np.asarray(references))
        return {self.kind: value}


class Accuracy(_Metric):
    kind, dtype = "accuracy", "int64"


class F1(_Metric):
    kind, dtype = "f1", "int64"


class Matthews(_Metric):
    kind, dtype = "matthews", "int64"


class Pearson(_Metric):
    kind, dtype = "pearson", "float64"


class Spearman(_Metric):
    kind, dtype = "spearman", "float64"


METRICS: dict[str, type[_Metric]] = {m.kind: m for m in (Accuracy, F1, Matthews, Pearson, Spearman)}
