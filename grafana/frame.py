"""The frame of every dashboard: variables, alert annotations, links to the others and to the live page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import TimeZoneBrowser

from grafana.panels import DATA_SOURCE, ORANGE, RED, Panel, panel_id

TAG = "streamgauge"
#: Where compose and ``make run`` publish it; a box on each dashboard changes it.
LIVE_PAGE = "http://127.0.0.1:8085"
#: Any case that monitoring watches; dashboards of one task narrow it to series that only this task has.
ANY_CASE = "monitoring_active"

Sections = Mapping[str, Sequence[Panel]]


class AlertAnnotation(models.AnnotationQuery):
    """Prometheus' annotations have fields of their own, which the SDK does not know."""

    def to_json(self) -> dict[str, object]:
        own = {"titleFormat": "{{alertname}}", "textFormat": "{{severity}} {{column}}", "tagKeys": "severity,column"}
        return {**super().to_json(), **own, "step": "15s", "useValueForTime": False}


def _alerts(name: str, severity: str, color: str) -> AlertAnnotation:
    """Alerts of the case, and those that know no case, such as a service that is down."""
    expr = f'ALERTS{{alertstate="firing", severity="{severity}", case=~"$case|"}}'
    return AlertAnnotation(name=name, datasource=DATA_SOURCE, icon_color=color, expr=expr)


class _Built(dashboard.AnnotationQuery):
    """The SDK takes builders."""

    def __init__(self, annotation: models.AnnotationQuery) -> None:
        super().__init__()
        self._internal = annotation


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(DATA_SOURCE)
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)


def _version() -> dashboard.QueryVariable:
    """A variable for the model versions in the chosen time."""
    variable = _variable("version", "Model version", 'label_values(monitoring_model_info{case="$case"}, version)')
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    return variable.multi(True).include_all(True).all_value(".*").current(everything)


def make_dashboard(uid: str, title: str, text: str, sections: Sections, *, cases: str = ANY_CASE) -> models.Dashboard:
    """``sections``: headings and their panels, from top to bottom; ``cases``: a metric whose cases can be chosen."""
    built = dashboard.Dashboard(title).uid(uid).description(text).tags([TAG])
    built.readonly().refresh("10s").time("now-1h", "now").timezone(TimeZoneBrowser)
    built.tooltip(models.DashboardCursorSync.CROSSHAIR)
    built.with_variable(_variable("case", "Case", f"label_values({cases}, case)"))
    built.with_variable(_version())
    built.with_variable(dashboard.TextBoxVariable("live_page").label("Live page").default_value(LIVE_PAGE))
    built.annotation(_Built(_alerts("Pages", "page", RED))).annotation(_Built(_alerts("Tickets", "ticket", ORANGE)))
    others = dashboard.DashboardLink("Dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    built.link(others.as_dropdown(True).include_vars(True).keep_time(True))
    live_page = dashboard.DashboardLink("Live page").type(models.DashboardLinkType.LINK).url("${live_page}/")
    built.link(live_page.icon("external link").tooltip("The same story, live, without Grafana").target_blank(True))
    for heading, panels in sections.items():
        built.with_row(dashboard.Row(heading).id(panel_id(f"row {heading}")).datasource(DATA_SOURCE))
        for panel in panels:
            built.with_panel(panel)
    return built.build()
