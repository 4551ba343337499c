from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from training.corpus import SENTENCES_FILE, build_corpus, load_corpus
from training.corpus.cli import app_corpus
from training.corpus.plain import write_text
from training.errors import CorpusError, OutputError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    rows = [
        {"artist": f"Orva {n}", "title": "Tide", "text": f"The drums of lamp {n} by Orva {n} are loud."}
        for n in range(60)
    ]
    (folder / "posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    build_corpus([folder / "posts.jsonl"], folder / "corpus")
    return folder / "corpus"


def test_each_sentence_of_a_split_is_a_line(corpus: Path, tmp_path: Path) -> None:
    loaded = load_corpus(corpus)
    for split in sorted(set(loaded.splits)):
        count = write_text(corpus, tmp_path / "out.txt", split=split)
        lines = (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()
        assert lines == loaded.part(split).texts
        assert count == len(lines) > 0


def test_the_command_writes_gzip_the_same_bytes_each_time(corpus: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("one.txt.gz", "two.txt.gz"):
        done = CliRunner().invoke(app_corpus, ["text", str(corpus), "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert "<artist>" in gzip.decompress(contents[0]).decode()


def test_a_folder_that_is_not_a_corpus_is_named_and_nothing_is_left(corpus: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / SENTENCES_FILE).write_bytes(b"PAR1 no more")
    other = tmp_path / "other"
    other.mkdir()
    pq.write_table(pa.table({"text": ["a"], "split": ["valid"]}), other / SENTENCES_FILE)
    for folder, message in ((tmp_path, "is not a corpus"), (damaged, "is damaged"), (other, "no sentence in train")):
        with pytest.raises(CorpusError, match=message):
            write_text(folder, tmp_path / "out.txt")
    with pytest.raises(CorpusError, match="no split named 'dev'"):
        write_text(corpus, tmp_path / "out.txt", split="dev")
    with pytest.raises(OutputError):
        write_text(corpus, damaged / SENTENCES_FILE / "out.txt")
    assert not (tmp_path / "out.txt").exists()
