"""The dashboard of prediction and target drift."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.data_drift import SMALLEST_P_VALUE
from grafana.frame import make_dashboard
from grafana.panels import NUMBER, SHARE, Panel, lines, states
from grafana.queries import Query, either, limit, of_case, of_version

DRIFTS = 'condition=~"prediction_drift|target_drift|concept_drift"'
STATISTICS = "/^(mean|p25|p50|p75),/"


def _moved(what: str, metric: str) -> list[Panel]:
    p_value = of_version(f"{metric}_p_value_ratio")
    return [
        lines(
            f"Effect on {what}",
            f"Share of {what} that moved between reference and window.",
            SHARE,
            Query(of_version(f"{metric}_effect_ratio"), "version {{version}}"),
            limit("minimum_effect"),
            whole=True,
        ),
        lines(
            f"p-value of {what}",
            "Two-sample test. Below the limit chance alone is no explanation.",
            SHARE,
            Query(f"clamp_min({p_value}, {SMALLEST_P_VALUE:g})", "version {{version}}"),
            limit("significance"),
            log=True,
        ),
    ]


def _predicted() -> Panel:
    shown = either(of_case("monitoring_prediction_mix_ratio"), of_case("monitoring_prediction_value"))
    panel = lines(
        "What is predicted",
        "Classification: share of each class. Regression: mean and quartiles, in the target's unit. Window against "
        "reference.",
        SHARE,
        Query(shown, "{{class}}{{statistic}}, {{of}}"),
    )
    return panel.override_by_regexp(STATISTICS, [models.DynamicConfigValue("unit", NUMBER)])


def _predictions() -> list[Panel]:
    return [
        _predicted(),
        lines(
            "Evidently's score of the predictions",
            "The score that Evidently's reports show. The verdict does not follow from it.",
            NUMBER,
            Query(of_version("monitoring_prediction_drift_score"), "version {{version}}"),
            whole=True,
        ),
        *_moved("predictions", "monitoring_prediction_drift"),
    ]


def _verdicts() -> list[Panel]:
    return [
        states(
            "Verdicts",
            "Predictions differ, labels differ, or their relation is no longer the one that was learnt.",
            Query(of_case("monitoring_condition", DRIFTS), "{{condition}}"),
            height=6,
        )
    ]


def prediction_drift() -> Dashboard:
    sections = {
        "Verdicts": _verdicts(),
        "Predictions": _predictions(),
        "Target, from the labels that came": _moved("labels", "monitoring_target_drift"),
    }
    text = "Whether the model answers differently than on the reference, and whether the truth does."
    return make_dashboard("streamgauge-prediction-drift", "Prediction and target drift", text, sections)
