from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from training.evaluation.made_up import KnownWords
from training.evaluation.samples_page import Answer, Asked, Word, side_by_side, split, write_samples

KNOWN = KnownWords.of(["so warm"])


@examples(60)
@given(st.text(alphabet="abc xyz'’-<>1é.", max_size=30))
def test_the_parts_of_a_text_give_it_back(text: str) -> None:
    assert "".join(word.text for word in split(text, KNOWN)) == text


def test_markup_in_a_sample_is_text_and_a_repeated_sentence_is_named(tmp_path: Path) -> None:
    markup = Answer(
        version="lcgan/1", words=(Word(text="<b>", made_up=False), Word(text="glim", made_up=True)), same_as=""
    )
    again = Answer(version="lcgan/2", words=(Word(text="<b>glim", made_up=False),), same_as="lcgan/1")
    write_samples([Asked(number=1, genres=("<i>",), answers=(markup, again))], tmp_path)
    page = (tmp_path / "samples.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;<mark>glim</mark>" in page
    assert "&lt;i&gt;" in page
    assert "the same as lcgan/1" in page
    assert "<script" not in page


def test_a_page_without_models_says_so(tmp_path: Path) -> None:
    assert side_by_side([], KNOWN) == []
    write_samples([], tmp_path)
    assert "No model was evaluated" in (tmp_path / "samples.html").read_text(encoding="utf-8")
