from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handlers.contract import EXAMPLE_SAMPLING, SAMPLING_FIELDS, field_values
from serving.errors import ServingError
from serving.traffic.export import count, export
from serving.traffic.exposures import Exposure, Recorder, exposure_values, parse_exposure
from serving.traffic.policy import AssignedBy
from serving.traffic.reading import ExposureFiles
from serving.traffic.segments import ExposureSettings, Segments
from tests.serving.traffic.exposing import answer, info, record, request

BEGIN = datetime(2026, 11, 29, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def rows(tmp_path: Path) -> list[Exposure]:
    moments = iter(BEGIN + timedelta(seconds=index) for index in range(9))
    to = Recorder(Segments(ExposureSettings(folder=tmp_path / "exposures")), host="one", now=lambda: next(moments))
    key = record(to, unit="u", request_id="r", seed=3, best_of=2, topic="sound", artist="A", title="T", num_samples=2)
    record(to, **field_values(EXAMPLE_SAMPLING), by=AssignedBy.RANDOM)
    record(to, version="10", by=AssignedBy.PIN)
    to.record_shadow(request(seed=3), answer(), info=info("3"), mirrors=key)
    to.record_shadow(request(seed=3), None, info=info("3"), mirrors=key)
    to.record_failure(
        request(seed=3), code="INTERNAL", elapsed_s=0.25, info=info("10"), by=AssignedBy.INTERLEAVED, experiment="e"
    )
    return list(ExposureFiles(folders=[tmp_path / "exposures"]))


def test_a_parquet_file_has_every_field_as_a_typed_column_and_the_version_of_the_columns(
    rows: list[Exposure], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "exposures.parquet"
    assert export(rows, out) == 6
    table = pq.read_table(out)
    assert table.schema.metadata[b"deephypebot.exposures"] == b"1"
    assert set(table.column_names) == set(exposure_values(rows[0]))
    assert set(SAMPLING_FIELDS) < set(table.column_names)
    assert table.schema.field("time").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("seed").type == pa.int64()
    assert table.schema.field("temperature").type == pa.float64()
    assert table.schema.field("sample_seeds").type == pa.list_(pa.field("element", pa.int64()))
    nullable = {field.name for field in table.schema if field.nullable}
    assert nullable == {
        *("outcome", "mirrors", "assigned_by", "request_id", "unit", "artist", "title", "topic", "best_of", "seed")
    }
    lists = {name for name in table.column_names if pa.types.is_list(table.schema.field(name).type)}
    read = [
        {name: tuple(value) if name in lists else value for name, value in row.items()} for row in table.to_pylist()
    ]
    assert read == [exposure_values(row) for row in rows]


def test_json_lines_are_rows_as_the_files_have_them(rows: list[Exposure], tmp_path: Path) -> None:
    assert export(rows, tmp_path / "out.jsonl") == 6
    assert [parse_exposure(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()] == rows


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_an_export_of_nothing_is_an_empty_file_of_its_kind(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{suffix}"
    assert export([], out) == 0
    assert suffix == "jsonl" or pq.read_table(out).num_rows == 0
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_failed_export_leaves_the_file_that_was_there(rows: list[Exposure], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    export(rows, out)

    def failing() -> object:
        yield rows[0]
        raise ServingError("the exposures in x cannot be read")

    with pytest.raises(ServingError, match="cannot be read"):
        export(failing(), out)  # type: ignore[arg-type]
    assert len(out.read_bytes().splitlines()) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exposures", "out.jsonl"]


def test_other_suffixes_and_folders_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=r"out\.csv must end in \.parquet or \.jsonl"):
        export([], tmp_path / "out.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(ServingError, match=r"out\.parquet cannot be written"):
        export([], tmp_path / "file" / "out.parquet")


def test_exposures_are_counted_by_day_version_and_reason_and_shadows_apart(rows: list[Exposure]) -> None:
    first, second, shadow, tenth = count(rows)
    assert (first.day, first.version, first.assigned_by) == (date(2026, 11, 29), "2", {AssignedBy.UNIT: 1})
    assert (second.day, second.version, second.assigned_by) == (date(2026, 11, 30), "2", {AssignedBy.RANDOM: 1})
    assert (shadow.version, shadow.answers, shadow.assigned_by, shadow.shadows) == ("3", 0, {}, 2)
    assert (tenth.version, tenth.answers, tenth.shadows, tenth.failures) == ("10", 1, 0, 1)
    assert first.to_mapping() == {
        "day": "2026-11-29",
        "model": "lcgan",
        "version": "2",
        "answers": 1,
        "assigned_by": {reason.value: int(reason is AssignedBy.UNIT) for reason in AssignedBy},
        "shadows": 0,
        "failures": 0,
    }
