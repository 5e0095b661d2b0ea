"""How good the predictions are: realised with labels, estimated without, overall and by segment."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import make_dashboard
from grafana.panels import NUMBER, ROWS, SECONDS, SHARE, UNSAID, Panel, band, lines, number, rows, spread, states
from grafana.queries import Query, increase, limit, limit_in_seconds, of_case, of_version, quantile

CONDITIONS = 'condition=~"concept_drift|estimated_loss|realised_loss|label_delay"'


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure by its name in the metrics."""

    name: str
    title: str
    text: str
    unit: str
    has_estimate: bool = True


CLASSIFICATION = (
    Figure("accuracy", "Accuracy", "Share of predictions that were right.", SHARE),
    Figure("precision", "Precision", "Share of the positive predictions that were right.", SHARE),
    Figure("recall", "Recall", "Share of the positive labels that were found.", SHARE),
    Figure("f1", "F1", "Harmonic mean of precision and recall.", SHARE),
    Figure("auc", "AUC", "Chance that a positive record has a higher score than another one.", SHARE),
    Figure("log_loss", "Log loss", "Mean negative logarithm of the probability given to the truth.", NUMBER),
    Figure("calibration_error", "Calibration error", "Mean distance of scores from what came true.", SHARE, False),
)
REGRESSION = (
    Figure("mae", "Mean absolute error", "Mean distance from the truth, in the target's unit.", NUMBER),
    Figure("rmse", "Root mean squared error", "Large errors count more, in the target's unit.", NUMBER),
    Figure("r2", "R²", "Share of the target's variance that is explained.", SHARE, False),
)


def _series(figure: Figure) -> str:
    return f'figure="{figure.name}"'


def _now(figure: Figure) -> list[Panel]:
    named = _series(figure)
    what = (
        ("Realised", "monitoring_performance", "With the labels that came."),
        ("Estimated", "monitoring_estimated_performance", "Without labels, from the scores' calibration."),
        ("Reference", "monitoring_reference_performance", "On the rows that every window is compared with."),
    )
    return [
        number(f"{title}: {figure.title.lower()}", text, figure.unit, Query(of_version(metric, named)), width=6)
        for title, metric, text in what
    ] + [
        number(
            "Labelled",
            "Share of the window's rows whose label is known: what the realised figures rest on.",
            SHARE,
            Query(of_version("monitoring_labelled_ratio")),
            width=6,
        )
    ]


def _over_time(figure: Figure) -> Panel:
    named, legend = _series(figure), "{{version}}"
    queries = [Query(of_version("monitoring_performance", named), f"realised, version {legend}")]
    if figure.has_estimate:
        queries.append(Query(of_version("monitoring_estimated_performance", named), f"estimated, version {legend}"))
    queries.append(Query(of_version("monitoring_reference_performance", named), f"reference, version {legend}"))
    # A band needs one series on each side, whatever versions are chosen.
    low = Query(f"min({of_version('monitoring_performance_low', named)})", "low")
    high = Query(f"max({of_version('monitoring_performance_high', named)})", "high")
    return band(
        figure.title,
        f"{figure.text} Realised with its 95 % interval, estimated and on the reference.",
        figure.unit,
        *queries,
        low=low,
        high=high,
    )


def _loss(figure: Figure) -> str:
    """From the case file: a drop of accuracy, or the growth of an error as a share of it."""
    realised = of_version("monitoring_performance", _series(figure))
    reference = of_version("monitoring_reference_performance", _series(figure))
    return f"{realised} / {reference} - 1" if figure.name == "mae" else f"{reference} - {realised}"


def _loss_and_gap(figure: Figure) -> list[Panel]:
    return [
        states(
            "Conditions of quality",
            "What holds when: losses against the reference, a gap to the estimate, labels that come late.",
            Query(of_case("monitoring_condition", CONDITIONS), "{{condition}}"),
            height=6,
        ),
        lines(
            "Loss",
            "How much worse the realised figure is than on the reference; above the limit somebody is called.",
            SHARE,
            Query(_loss(figure), "version {{version}}"),
            limit("loss"),
        ),
        lines(
            "Gap",
            "How much worse the realised figure is than the one estimated for the same rows: the relation between "
            "record and label has changed.",
            SHARE,
            Query(of_version("monitoring_performance_gap", _series(figure)), "version {{version}}"),
            limit("gap"),
        ),
    ]


def _segments(figure: Figure) -> list[Panel]:
    named, legend = _series(figure), "{{segment}} {{value}}"
    return [
        lines(
            f"{figure.title} by segment",
            "Of segments with enough labels, by the columns that the case file names.",
            figure.unit,
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
            "Rows that the realised figures are computed from.",
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


def _performance(uid: str, kind: str, figures: tuple[Figure, ...], cases: str) -> Dashboard:
    headline = figures[0]
    sections = {
        "Now": _now(headline),
        "Worse than it should be?": _loss_and_gap(headline),
        "Figures": [_over_time(figure) for figure in figures],
        "Segments": _segments(headline),
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
