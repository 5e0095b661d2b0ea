"""The dashboards of model performance: realised with labels, estimated without, overall and by segment."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import make_dashboard
from grafana.panels import NUMBER, ROWS, SECONDS, SHARE, UNSAID, Panel, band, lines, number, rows, spread, states
from grafana.queries import Query, increase, limit, limit_in_seconds, of_case, of_version, quantile

CONDITIONS = 'condition=~"concept_drift|estimated_loss|realised_loss|label_delay"'


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of performance; ``name`` is the label ``figure`` of its series."""

    name: str
    title: str
    text: str
    unit: str
    has_estimate: bool = True


CLASSIFICATION = (
    Metric("accuracy", "Accuracy", "Share of predictions that were right.", SHARE),
    Metric("precision", "Precision", "Share of the positive predictions that were right.", SHARE),
    Metric("recall", "Recall", "Share of the positive labels that were found.", SHARE),
    Metric("f1", "F1", "Harmonic mean of precision and recall.", SHARE),
    Metric("auc", "AUC", "Chance that a positive record has a higher score than another one.", SHARE),
    Metric("log_loss", "Log loss", "Mean negative logarithm of the probability given to the truth.", NUMBER),
    Metric("calibration_error", "Calibration error", "Mean distance of scores from what came true.", SHARE, False),
)
REGRESSION = (
    Metric("mae", "Mean absolute error", "Mean distance from the truth, in the target's unit.", NUMBER),
    Metric("rmse", "Root mean squared error", "Large errors count more, in the target's unit.", NUMBER),
    Metric("r2", "R²", "Share of the target's variance that is explained.", SHARE, False),
)


def _series(shown: Metric) -> str:
    return f'figure="{shown.name}"'


def _now(shown: Metric) -> list[Panel]:
    named = _series(shown)
    what = (
        ("Realised", "monitoring_performance", "With the labels that came."),
        ("Estimated", "monitoring_estimated_performance", "Without labels, from the scores' calibration."),
        ("Reference", "monitoring_reference_performance", "On the rows that every window is compared with."),
    )
    return [
        number(f"{title}: {shown.title.lower()}", text, shown.unit, Query(of_version(metric, named)), width=6)
        for title, metric, text in what
    ] + [
        number(
            "Labelled",
            "Share of the window's rows whose label is known: what the realised metrics rest on.",
            SHARE,
            Query(of_version("monitoring_labelled_ratio")),
            width=6,
        )
    ]


def _over_time(shown: Metric) -> Panel:
    named, legend = _series(shown), "{{version}}"
    queries = [Query(of_version("monitoring_performance", named), f"realised, version {legend}")]
    if shown.has_estimate:
        queries.append(Query(of_version("monitoring_estimated_performance", named), f"estimated, version {legend}"))
    queries.append(Query(of_version("monitoring_reference_performance", named), f"reference, version {legend}"))
    # A band needs one series on each side, whatever versions are chosen.
    low = Query(f"min({of_version('monitoring_performance_low', named)})", "low")
    high = Query(f"max({of_version('monitoring_performance_high', named)})", "high")
    return band(
        shown.title,
        f"{shown.text} Realised with its 95 % interval, estimated and on the reference.",
        shown.unit,
        *queries,
        low=low,
        high=high,
    )


def _degradation(shown: Metric) -> str:
    """From the case file: a drop of accuracy, or the growth of an error as a share of it."""
    realised = of_version("monitoring_performance", _series(shown))
    reference = of_version("monitoring_reference_performance", _series(shown))
    return f"{realised} / {reference} - 1" if shown.name == "mae" else f"{reference} - {realised}"


def _degradation_and_gap(shown: Metric) -> list[Panel]:
    return [
        states(
            "Performance conditions",
            "What holds when: degradation against the reference, a gap to the estimate, labels that come late.",
            Query(of_case("monitoring_condition", CONDITIONS), "{{condition}}"),
            height=6,
        ),
        lines(
            "Degradation",
            "How much worse the realised metric is than on the reference; above the limit somebody is called.",
            SHARE,
            Query(_degradation(shown), "version {{version}}"),
            limit("loss"),
        ),
        lines(
            "Gap",
            "How much worse the realised metric is than the one estimated for the same rows: the relation between "
            "record and label has changed.",
            SHARE,
            Query(of_version("monitoring_performance_gap", _series(shown)), "version {{version}}"),
            limit("gap"),
        ),
    ]


def _segments(shown: Metric) -> list[Panel]:
    named, legend = _series(shown), "{{segment}} {{value}}"
    return [
        lines(
            f"{shown.title} by segment",
            "Of segments with enough labels, by the columns that the case file names.",
            shown.unit,
            Query(of_version("monitoring_segment_performance", named), legend),
        ),
        rows(
            "Segments now",
            "Labelled rows of each segment: few rows, wide intervals.",
            NUMBER,
            Query(of_version("monitoring_segment_labelled_rows")),
            hidden=[*UNSAID, "version"],
            names={"Value": "labelled rows"},
            width=12,
        ),
    ]


def _labelled() -> list[Panel]:
    return [
        lines(
            "Labelled rows",
            "Rows that the realised metrics are computed from.",
            ROWS,
            Query(of_version("monitoring_labelled_rows"), "version {{version}}"),
            whole=True,
        ),
        lines(
            "Labelled share",
            "Share of the window's rows whose label is known.",
            SHARE,
            Query(of_version("monitoring_labelled_ratio"), "version {{version}}"),
            whole=True,
        ),
    ]


def _label_delay() -> list[Panel]:
    delay = "monitoring_label_delay_seconds"
    return [
        lines(
            "Delay of labels",
            "Time from a prediction to its label: half of them, and nine in ten, come within it.",
            SECONDS,
            Query(quantile(0.5, delay), "median"),
            Query(quantile(0.9, delay), "nine in ten"),
            limit_in_seconds("label_delay"),
            log=True,
        ),
        spread(
            "Delays of labels",
            "How many labels came how late.",
            SECONDS,
            Query(increase(f"{delay}_bucket", by="le")),
        ),
    ]


def _performance(uid: str, kind: str, metrics: tuple[Metric, ...], cases: str) -> Dashboard:
    primary = metrics[0]
    sections = {
        "Now": _now(primary),
        "Worse than it should be?": _degradation_and_gap(primary),
        "Metrics": [_over_time(shown) for shown in metrics],
        "Segments": _segments(primary),
        "Labels": [*_labelled(), *_label_delay()],
    }
    text = f"How good the predictions of a {kind} are: realised with labels, estimated without, and by segment."
    return make_dashboard(uid, f"Model performance ({kind})", text, sections, cases=cases)


def classification() -> Dashboard:
    return _performance(
        "streamgauge-classification", "classification", CLASSIFICATION, "monitoring_prediction_mix_ratio"
    )


def regression() -> Dashboard:
    return _performance("streamgauge-regression", "regression", REGRESSION, "monitoring_prediction_value")
