"""``python -m prometheus.render`` writes what Prometheus and Alertmanager are told, for the settings there are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from event_backbone.process.commands import run_command
from event_backbone.process.files import replace_file
from event_backbone.settings import read_settings
from prometheus.routing import AlertingSettings, Config, alertmanager_config

FOLDER = Path(__file__).parent
ALERTMANAGER_FILE = "alertmanager.yml"
HEADER = "# Made by prometheus/render.py; change prometheus/routing.py, or the settings, and write it again.\n"

#: A rate needs two samples, and one may be late.
LEAST_SCRAPES_IN_A_WINDOW = 4
LEAST_SCRAPE_S = 0.25

#: Addresses by job.
Targets = Mapping[str, Sequence[str]]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WINDOW = re.compile(r"\[(\w+)\]")
#: Keys whose values are durations.
_TIMES = {"for", "group_wait", "group_interval", "repeat_interval"}
_SCRAPES = {"scrape_interval", "evaluation_interval"}


def seconds(duration: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhd])", duration))


def duration(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def scaled(node: Any, scale: float, scrape_s: float) -> Any:
    """Every time in a configuration shortened, windows and scrapes no further than they still work."""
    if isinstance(node, list):
        return [scaled(item, scale, scrape_s) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _scaled_value(key, value, scale, scrape_s) for key, value in node.items()}


def _scaled_value(key: str, value: Any, scale: float, scrape_s: float) -> Any:
    if key in _TIMES:
        return duration(seconds(value) * scale)
    if key in _SCRAPES:
        return duration(scrape_s)
    if key == "expr":
        least_s = LEAST_SCRAPES_IN_A_WINDOW * scrape_s
        return _WINDOW.sub(lambda found: f"[{duration(max(least_s, seconds(found[1]) * scale))}]", value)
    return scaled(value, scale, scrape_s)


def with_places(config: Config, targets: Targets, alertmanager: str | None) -> Config:
    """Scrapes only these targets, if any are given."""
    if targets:
        jobs = [{"job_name": job, "static_configs": [{"targets": list(places)}]} for job, places in targets.items()]
        config = {**config, "scrape_configs": jobs}
    if alertmanager:
        config = {**config, "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}}
    return config


def write(path: Path, config: Config, *, secret: bool = False) -> None:
    """Replace the file in one step; a secret one is read by its owner and group alone."""
    text = HEADER + yaml.safe_dump(config, sort_keys=False, width=120, allow_unicode=True)
    replace_file(path, text.encode(), durable=False, mode=0o440 if secret else 0o644)


def _load(path: Path) -> Config:
    config: Config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def render(
    folder: Path, settings: AlertingSettings, *, scale: float, targets: Targets, alertmanager: str | None
) -> None:
    """Everything, into a folder."""
    main = _load(FOLDER / "prometheus.yml")
    scrape_s = max(LEAST_SCRAPE_S, seconds(main["global"]["scrape_interval"]) * scale)
    write(folder / "prometheus.yml", with_places(scaled(main, scale, scrape_s), targets, alertmanager))
    for rules in sorted((FOLDER / "rules").glob("*.yml")):
        write(folder / "rules" / rules.name, scaled(_load(rules), scale, scrape_s))
    write(folder / ALERTMANAGER_FILE, scaled(alertmanager_config(settings), scale, scrape_s), secret=True)


def _targets(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> Targets:
    """A job that is given again has several."""
    if wrong := [one for one in given if "=" not in one]:
        raise click.BadParameter(f"{wrong[0]!r} is not JOB=HOST:PORT")
    pairs = [one.split("=", 1) for one in given]
    return {job: [place for other, place in pairs if other == job] for job, _ in pairs}


@click.group()
def main() -> None:
    """Write what Prometheus and Alertmanager are told."""


@main.command("alertmanager")
@click.argument("path", type=click.Path(path_type=Path), default=FOLDER / ALERTMANAGER_FILE)
def alertmanager_command(path: Path) -> None:
    """Write Alertmanager's configuration for the settings ALERT_… to PATH."""

    def write_it() -> None:
        write(path, alertmanager_config(read_settings(AlertingSettings)), secret=path.parent != FOLDER)

    run_command("render", write_it)


@main.command("all")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--time-scale", default=1.0, type=click.FloatRange(0.001, 1), help="shortens every time, for tests")
@click.option(
    "--target", multiple=True, callback=_targets, metavar="JOB=HOST:PORT", help="scrape this; may be given again"
)
@click.option("--alertmanager", metavar="HOST:PORT", help="where alerts are sent")
def all_command(folder: Path, time_scale: float, target: Targets, alertmanager: str | None) -> None:
    """Write prometheus.yml, rules and alertmanager.yml into FOLDER.

    Example: python -m prometheus.render all var/alerting --target monitoring=127.0.0.1:8085
    --alertmanager 127.0.0.1:9093
    """

    def render_it() -> None:
        settings = read_settings(AlertingSettings)
        render(folder, settings, scale=time_scale, targets=target, alertmanager=alertmanager)

    run_command("render", render_it)


if __name__ == "__main__":
    main()
