from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.topics.toy_topics import WORDS, toy_model, written
from training.topics.page import write_topic_page

TEXTS = ["warm hazy vocals", "tour dates and a label", "born and raised in a town", "zyx"] * 20


class _Page(HTMLParser):
    """Elements, what scripts hold, and whether each element that is opened is closed."""

    VOID = frozenset({"meta", "input", "link", "br", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.opened: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.opened:
            self.texts.setdefault(self.opened[-1], []).append(data)

    @property
    def data(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.texts["script"][0])
        return document


@pytest.mark.parametrize("num_topics", [1, 2, 3])
def test_the_page_is_whole_and_asks_nothing_of_the_web(tmp_path: Path, num_topics: int) -> None:
    page = written(tmp_path, *toy_model(num_topics), TEXTS)
    parsed = _Page(page)
    assert parsed.opened == []
    assert not [name for _, attributes in parsed.elements for name in attributes if name in {"src", "href", "action"}]
    # The namespace of SVG is a name, which nothing fetches.
    assert set(re.findall(r"\w+://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", page)
    assert "default-src 'none'" in page
    assert page.count("<tr") == num_topics + 1
    assert f"{min(2, num_topics)} (desired)" in page
    assert parsed.data["words"] == list(WORDS)


def test_every_control_has_a_label_and_every_reference_its_element(tmp_path: Path) -> None:
    parsed = _Page(written(tmp_path, *toy_model(3), TEXTS))
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {attributes["for"] for tag, attributes in parsed.elements if tag == "label"}
    for tag, attributes in parsed.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids
        if tag in {"input", "select"}:
            assert "aria-label" in attributes or attributes["id"] in labelled


def test_the_page_has_each_topics_share_place_and_examples(tmp_path: Path) -> None:
    model, shares_KW = toy_model(3)
    texts = ["warm hazy vocals synth warm", *["tour dates label"] * 3, "zyx"]
    data = _Page(written(tmp_path, model, shares_KW, texts)).data
    shares_DK = model.shares(texts[:4]).numpy()
    expected = np.array([5, 3, 3, 3]) @ shares_DK / 14
    assert data["num_tokens"] == 14
    assert [topic["share"] for topic in data["topics"]] == pytest.approx(expected, rel=1e-4)
    assert [topic["desired"] for topic in data["topics"]] == [False, True, False]
    assert data["topics"][0]["examples"][0] == texts[0]
    assert data["topics"][1]["examples"] == ["tour dates label", texts[0]]
    assert data["topics"][1]["title"] == "tour, label"
    np.testing.assert_allclose(np.array(data["word_shares"]).T, shares_KW, rtol=1e-5)


def test_a_sample_without_known_words_has_the_priors_shares(tmp_path: Path) -> None:
    data = _Page(written(tmp_path, *toy_model(2), ["zyx"])).data
    assert data["num_tokens"] == 0
    assert [topic["share"] for topic in data["topics"]] == [0.5, 0.5]


def test_hostile_words_and_sentences_stay_text(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--"
    model, shares_KW = toy_model(2, words=(hostile, "a'b", *WORDS[2:]), names=(f"1 {hostile}/x", '2 "><img src=x>'))
    page = written(tmp_path, model, shares_KW, ["vocals </script><b>synth</b>", "tour & label"])
    parsed = _Page(page)
    assert page.count("<script") == page.count("</script>") == 2
    assert not [tag for tag, _ in parsed.elements if tag in {"img", "b"}]
    assert hostile in parsed.data["words"]
    assert parsed.data["topics"][0]["examples"][0] == "vocals </script><b>synth</b>"
    assert parsed.data["topics"][1]["title"] == '"><img src=x>'
    assert hostile in "".join(parsed.texts["td"])


def test_the_page_does_not_grow_with_the_vocabulary(tmp_path: Path) -> None:
    words = tuple(f"w{number}" for number in range(4_000))
    generator = np.random.default_rng(0)
    shares_KW = generator.dirichlet(np.full(len(words), 0.05), size=3)
    model, _ = toy_model(3, words=words, shares_KW=shares_KW)
    write_topic_page(model, shares_KW, ["w1 w2"], tmp_path / "topics.html")
    data = _Page((tmp_path / "topics.html").read_text(encoding="utf-8")).data
    assert 30 <= len(data["words"]) < 600
    assert len(data["salient"]) == 30
