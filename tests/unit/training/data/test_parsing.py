"""Raw files and their traps."""

from __future__ import annotations

from typing import Any

import pytest
from training_world import COLUMNS, made_case, regression_case

from event_backbone.case.schema import Case, DataFile
from event_backbone.errors import SettingsError
from training.data.parsing import MOST_FAULTS_LISTED, parse_file


def _file(rows: int, dot: str | None = None) -> DataFile:
    content = {"name": "fruit.data", "role": "train", "url": "http://made.up", "sha256": "0" * 64, "rows": rows}
    return DataFile.model_validate({**content, "target_suffix": dot})


def _parse(
    text: str, *, rows: int = 1, case: Case | None = None, dot: str | None = None
) -> tuple[list[Any], list[Any]]:
    parsed = parse_file(case or made_case(), _file(rows, dot), text.encode())
    return list(parsed.records), list(parsed.labels)


def _faults(text: str, *, rows: int = 1, case: Case | None = None, dot: str | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        _parse(text, rows=rows, case=case, dot=dot)
    return [f"{fault.place}: {fault.message}" for fault in caught.value.faults]


def test_a_blank_after_the_comma_does_not_count() -> None:
    records, labels = _parse("1, 80, 7.5, red, yes\n")
    assert records == [{"number": 1, "weight": 80, "sugar": 7.5, "colour": "red"}]
    assert labels == ["yes"]


def test_the_missing_marker_becomes_null() -> None:
    assert _parse("1, 80, ?, ?, yes\n")[0] == [{"number": 1, "weight": 80, "sugar": None, "colour": None}]


def test_the_final_dot_of_a_label_does_not_count_in_a_file_that_has_it() -> None:
    assert _parse("1, 80, 7.5, red, yes.\n2, 80, 7.5, red, no.\n", rows=2, dot=".")[1] == ["yes", "no"]


def test_a_label_without_the_dot_is_a_fault_in_a_file_that_has_it() -> None:
    text = "1, 80, 7.5, red, yes.\n2, 80, 7.5, red, no\n"
    assert _faults(text, rows=2, dot=".") == ["line 2: ripe must end with '.' in this file"]


def test_a_label_with_a_dot_is_a_fault_in_a_file_that_has_none() -> None:
    assert _faults("1, 80, 7.5, red, yes.\n") == ["line 1: ripe is no label of this case"]


def test_a_first_line_that_is_no_record_is_skipped() -> None:
    assert len(_parse("|1x3 Cross validator\n1, 80, 7.5, red, yes\n")[0]) == 1


def test_blank_lines_are_no_records() -> None:
    assert len(_parse("1, 80, 7.5, red, yes\n\n  \n")[0]) == 1


def test_windows_line_ends_do_not_count() -> None:
    assert _parse("1, 80, 7.5, red, yes\r\n")[1] == ["yes"]


def test_whole_numbers_stay_whole_and_decimals_stay_decimals() -> None:
    record = _parse("1, 80, 7, red, yes\n")[0][0]
    assert type(record["weight"]) is int
    assert type(record["sugar"]) is float


def test_a_header_is_the_case_file_s_list_of_fields_where_there_is_one() -> None:
    fields = ["number", "weight", "sugar", "colour", "price"]
    case = regression_case()
    written = case.data.format.model_copy(update={"fields": fields})
    listed = case.model_copy(update={"data": case.data.model_copy(update={"format": written})})
    assert _parse(f"{','.join(fields)}\n1,80,7.5,red,3\n", case=listed)[1] == [3.0]
    assert _faults("weight,number,sugar,colour,price\n1,80,7.5,red,3\n", case=listed) == [
        "header: is not the case file's: it must be number, weight, sugar, colour, price, in this order"
    ]


@pytest.mark.parametrize("case", [made_case(), regression_case()])
def test_an_empty_file_is_a_fault(case: Case) -> None:
    assert _faults("\n", case=case) == ["(file): is empty"]


def test_a_column_that_is_missing_throughout_is_said_once() -> None:
    text = "1, 80, 7.5, yes\n" * 30
    assert _faults(text, rows=30) == ["(every line): has 4 fields, expected 5: number, weight, sugar, colour, ripe"]


def test_a_header_names_the_fields_in_any_order_and_further_ones_are_left_out() -> None:
    text = "price,colour,shelf,sugar,weight,number\n350.5,red,A,,80,1\n"
    records, labels = _parse(text, case=regression_case())
    assert records == [{"number": 1, "weight": 80, "sugar": None, "colour": "red"}]
    assert labels == [350.5]


def test_a_byte_order_mark_does_not_count() -> None:
    text = "\ufeffprice,colour,sugar,weight,number\n350.5,red,,80,1\n"
    assert _parse(text, case=regression_case())[1] == [350.5]


def test_a_header_without_a_column_names_it() -> None:
    assert _faults("price,colour,weight\n1,red,80\n", case=regression_case()) == [
        "header: has no field 'number'",
        "header: has no field 'sugar'",
    ]


def test_every_faulty_line_is_named_with_its_column() -> None:
    text = "1, 80, 7.5, red, yes\n2, heavy, 7.5, red, yes\n3, 80, 7.5\n4, -1, 7.5, red, maybe\n5, ?, 7.5, red, yes\n"
    assert _faults(text, rows=5) == [
        "line 2: weight must be a number",
        "line 3: has 3 fields, expected 5",
        "line 4: weight must be at least 0",
        "line 4: ripe is no label of this case",
        "line 5: weight must not be null",
    ]


def test_line_numbers_count_the_lines_that_are_no_records() -> None:
    assert _faults("|comment\n\n1, heavy, 7.5, red, yes\n") == ["line 3: weight must be a number"]


@pytest.mark.parametrize("price", ["", "nan", "inf", "dear"])
def test_a_label_that_is_no_finite_number_is_a_fault(price: str) -> None:
    text = f"price,colour,sugar,weight,number\n{price},red,,80,1\n"
    assert _faults(text, case=regression_case()) == ["line 2: price is no label of this case"]


def test_a_missing_row_is_a_fault() -> None:
    assert _faults("1, 80, 7.5, red, yes\n", rows=2) == ["(file): holds 1 records, expected 2"]


def test_many_faults_are_cut() -> None:
    faults = _faults("1, heavy, 7.5, red, yes\n" * 50, rows=50)
    assert len(faults) == MOST_FAULTS_LISTED + 1
    assert faults[-1] == "(more): 30 faults more"


def test_what_is_no_text_is_a_fault() -> None:
    with pytest.raises(SettingsError, match=r"fruit\.data.*\n.*no UTF-8 text"):
        parse_file(made_case(), _file(1), b"\xff\xfe\x00")


def test_columns_stand_in_the_order_of_the_case_file() -> None:
    text = "price,colour,shelf,sugar,weight,number\n350.5,red,A,,80,1\n"
    record = _parse(text, case=regression_case())[0][0]
    assert list(record) == [column["name"] for column in COLUMNS]


def test_a_line_that_no_field_may_be_as_long_as_is_named() -> None:
    """A quotation mark without its end makes one field of all that follows on its line."""
    text = f'1, 80, 7.5, "{"a" * 131_072}, yes\n'
    assert _faults(text) == ["line 1: has more than 131,072 characters"]
