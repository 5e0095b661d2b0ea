"""The web form: made from the case file, judged as JSON is."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from prediction_world import COLUMNS, Reply, Service, call, made_case, made_record, numeric_case

from event_backbone.case.files import find_case
from prediction_service.serving.app import build_api
from prediction_service.serving.form import CaseForm
from prediction_service.serving.gateway import RequestGateway

CASES_DIR = Path(__file__).parents[4] / "cases"
GARDEN = CaseForm(made_case())


# What a filled form means ---------------------------------------------------------------------------------------------


def payload(**sent: str) -> dict[str, Any]:
    return GARDEN.payload(sent)


def test_numbers_are_numbers_and_texts_are_texts() -> None:
    assert payload(leaves="12", height="3.5", drift_south="-7", soil="5") == {
        "leaves": 12,
        "height": 3.5,
        "drift_south": -7,
        "soil": "5",
        "neighbour": None,
    }


def test_an_empty_field_is_null_where_that_is_allowed_and_missing_elsewhere() -> None:
    assert payload(leaves="  ", soil="") == {"drift_south": None, "neighbour": None}


def test_blanks_around_a_value_do_not_count() -> None:
    assert payload(leaves=" 12 ", soil=" clay ")["leaves"] == 12
    assert payload(soil=" clay ")["soil"] == "clay"


@pytest.mark.parametrize("text", ["many", "1,000", "1_000", "0x10", "1 000", "--5"])
def test_what_is_no_number_is_left_for_the_validator_to_name(text: str) -> None:
    assert payload(leaves=text)["leaves"] == text


def test_a_field_nobody_asked_for_is_no_part_of_the_record() -> None:
    assert "flowers" not in payload(flowers="yes", record_id="r1")


# What is shown --------------------------------------------------------------------------------------------------------


def limits(**column: Any) -> str:
    case = made_case(columns=[{**COLUMNS[0], "valid": {}, "expected": {}, **column}])
    return CaseForm(case).fields({}, [])[0].limits


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (
            {"valid": {"minimum": 0, "maximum": 5000}, "expected": {"maximum": 300}},
            "Allowed 0 to 5,000; usual up to 300.",
        ),
        ({"valid": {"minimum": 0.5}}, "Allowed from 0.5."),
        ({"valid": {"maximum": 10_000_000}}, "Allowed up to 10,000,000."),
        ({"valid": {"minimum": 0, "maximum": 1e8}}, "Allowed 0 to 100,000,000."),
        ({"kind": "number", "expected": {"minimum": -124.35, "maximum": -114.31}}, "Usual -124.35 to -114.31."),
        ({}, ""),
    ],
)
def test_limits_are_written_out(column: dict[str, Any], text: str) -> None:
    assert limits(**column) == text


@pytest.mark.parametrize(
    ("categories", "text"),
    [(["a"], "Usual: a."), (["a", "b", "c"], "Usual: a, b, c."), (list("abcde"), "Usual: a, b, c and 2 more.")],
)
def test_a_category_names_some_that_are_usual(categories: list[str], text: str) -> None:
    case = made_case(columns=[COLUMNS[0], {**COLUMNS[4], "expected": {"categories": categories}}])
    assert CaseForm(case).fields({}, [])[1].limits == text


@pytest.mark.parametrize(
    ("column", "keyboard"),
    [
        ({"kind": "integer", "valid": {"minimum": 0}}, "numeric"),
        ({"kind": "number", "valid": {"minimum": 0}}, "decimal"),
        ({"kind": "number", "valid": {"minimum": -1}}, "text"),
        ({"kind": "integer", "valid": {}}, "text"),
    ],
)
def test_a_phone_offers_a_keyboard_that_can_type_what_is_allowed(column: dict[str, Any], keyboard: str) -> None:
    case = made_case(columns=[{**COLUMNS[0], "expected": {}, **column}])
    assert CaseForm(case).fields({}, [])[0].keyboard == keyboard


def test_every_shipped_case_makes_a_form() -> None:
    for name in ("census", "housing"):
        case = find_case(name, CASES_DIR)
        fields = CaseForm(case).fields({}, [])
        assert [field.column.name for field in fields] == list(case.column_names)
        assert all(field.limits for field in fields)


# The page -------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The inputs of a page with what stands beside each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inputs: dict[str, dict[str, str | None]] = {}
        self.described: dict[str, str] = {}
        self.text = ""
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input":
            self.inputs[str(found["name"])] = found
        if tag == "p":
            self._inside.append(str(found.get("id", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "p":
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside:
            self.described[self._inside[-1]] = self.described.get(self._inside[-1], "") + data

    def beside(self, name: str) -> str:
        """Everything a screen reader tells about a field."""
        ids = str(self.inputs[name].get("aria-describedby") or "").split()
        return " ".join(" ".join(self.described[one].split()) for one in ids)


class FormService:
    """The application that renders the form, without a server."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.service = Service(folder, **settings)
        registry = self.service.metrics.registry
        flask = build_api(
            self.service.case, self.service.handlers, self.service.journal, None, None, registry, max_body_bytes=5000
        )
        self._gateway = RequestGateway(
            flask,
            self.service.handlers.predict_all,
            self.service.metrics,
            fast_path=True,
        )

    def get(self) -> Reply:
        return call(self._gateway, "GET", "/")

    def send(self, **fields: Any) -> tuple[int, Page]:
        reply = self.reply(**fields)
        return reply.status, Page(reply.body.decode())

    def reply(self, **fields: Any) -> Reply:
        sent = {name: "" if value is None else value for name, value in {**made_record(), **fields}.items()}
        form = "application/x-www-form-urlencoded"
        return call(self._gateway, "POST", "/", urlencode(sent).encode(), content_type=form)

    def predictions(self) -> int:
        return self.service.journal.row_counts().get("prediction", 0)


@pytest.fixture
def form(tmp_path: Path) -> Iterator[FormService]:
    made = FormService(tmp_path)
    yield made
    made.service.journal.close()


def test_the_empty_form_has_a_field_for_each_column_with_its_help(form: FormService) -> None:
    page = Page(form.get().body.decode())
    assert list(page.inputs) == [column["name"] for column in COLUMNS]
    for column in COLUMNS:
        assert column["help"] in page.beside(column["name"])
    assert "Allowed 0 to 5,000; usual 1 to 300." in page.beside("leaves")


def test_a_good_record_is_answered_with_its_score_and_kept(form: FormService) -> None:
    status, page = form.send(leaves=80, drift_south=None)
    assert status == 200
    assert "80.0% probability of yes" in page.text
    assert "streamgauge-garden version 7" in page.text
    assert page.inputs["leaves"]["value"] == "80"
    assert form.predictions() == 1


def test_faults_stand_beside_their_fields_and_nothing_is_kept(form: FormService) -> None:
    status, page = form.send(leaves="many", height=999, soil="")
    assert status == 422
    assert "Leaves must be a number." in page.beside("leaves")
    assert "Height must be at most 250.25." in page.beside("height")
    assert "Soil is missing." in page.beside("soil")
    assert "must be" not in page.beside("plot")
    assert [name for name, found in page.inputs.items() if "autofocus" in found] == ["leaves"]
    invalid = [name for name, found in page.inputs.items() if found.get("aria-invalid") == "true"]
    assert invalid == ["leaves", "height", "soil"]
    assert (page.inputs["leaves"]["value"], page.inputs["height"]["value"]) == ("many", "999")
    assert "The record has 3 faults; nothing was stored." in page.text
    assert form.predictions() == 0


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999", "9" * 400])
def test_no_way_of_writing_infinity_gets_through(form: FormService, text: str) -> None:
    status, page = form.send(drift_south=text)
    assert status == 422
    assert "Drift must be a finite number." in page.beside("drift_south")
    assert form.predictions() == 0


def test_what_was_typed_is_never_read_as_html(form: FormService) -> None:
    reply = form.reply(soil='"><script>alert(1)</script>', leaves="<b>")
    assert b"<script>" not in reply.body
    assert b"<b>" not in reply.body


def test_the_page_allows_no_script_and_no_frame(form: FormService) -> None:
    for reply in (form.get(), form.reply(), form.reply(leaves="many")):
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert b"<script" not in reply.body


def test_without_a_model_the_page_says_when_to_try_again(form: FormService) -> None:
    form.service.scorer = None
    reply = form.reply(leaves=80)
    page = Page(reply.body.decode())
    assert (reply.status, reply.headers["Retry-After"]) == (503, "2")
    assert "no model is loaded yet; try again in 2 s" in page.text
    assert page.inputs["leaves"]["value"] == "80"


def test_a_number_is_answered_with_its_unit(tmp_path: Path) -> None:
    form = FormService(tmp_path, case=numeric_case())
    form.service.scorer.decide = lambda score: score
    status, page = form.send(leaves=80)
    assert status == 200
    assert "0.8 blossoms" in page.text
    assert "probability" not in page.text
