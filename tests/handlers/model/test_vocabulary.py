from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.vocabulary import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    PLACEHOLDERS,
    SPECIALS,
    UNK_ID,
    Vocabulary,
    fill_placeholders,
    words,
)

pieces = st.one_of(
    st.sampled_from(
        [*PLACEHOLDERS, "<artist>'s", "it's", "lo-fi", "1,999.5", "“hiss”", "naïve", "…", "-", "rock’n’roll"]
    ),
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=8),
)
sentences = st.lists(pieces, min_size=1, max_size=12).map(lambda parts: " ".join(" ".join(parts).split()))


def _vocabulary(*sentences_: str) -> Vocabulary:
    """The words of some sentences, and nothing to spell others with."""
    return Vocabulary(tokens=(*SPECIALS, *dict.fromkeys(word for sentence in sentences_ for word in words(sentence))))


@given(sentences)
def test_the_tokens_of_a_sentence_join_to_the_sentence(sentence: str) -> None:
    assert "".join(words(sentence)) == sentence


@given(sentences)
def test_a_sentence_of_known_tokens_comes_back_whole(sentence: str) -> None:
    vocabulary = _vocabulary(sentence)
    ids = vocabulary.encode(sentence)
    assert UNK_ID not in ids
    assert vocabulary.decode(ids) == sentence


@pytest.mark.slow
@given(sentences, sentences)
def test_a_word_is_spelled_with_known_tokens_or_is_the_unknown_mark_once(known: str, other: str) -> None:
    vocabulary = _vocabulary(known)
    for word in words(other):
        ids = vocabulary.encode(word)
        assert ids == [UNK_ID] or "".join(vocabulary.tokens[number] for number in ids) == word


@given(st.text("ab ", min_size=1, max_size=12), st.sets(st.text("ab", min_size=2, max_size=4)))
def test_with_every_character_known_any_text_can_be_written(text: str, pieces_: set[str]) -> None:
    text = " ".join(text.split())
    vocabulary = Vocabulary(tokens=(*SPECIALS, "a", "b", " ", *sorted(pieces_)))
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_the_longest_token_comes_first() -> None:
    vocabulary = Vocabulary(tokens=(*SPECIALS, " ", "w", "a", "r", "m", "l", "y", " war", "ml", " warm"))
    assert [vocabulary.tokens[number] for number in vocabulary.encode("a warmly")] == ["a", " warm", "l", "y"]
    assert vocabulary.encode("a warmly") == vocabulary.encode("a warmly")


@pytest.mark.parametrize(
    "text", ["<artist>", "a <title> b", "(<artist>)", "<artist>'s", "<artist><title>", "“<title>”"]
)
def test_a_placeholder_is_one_token_wherever_it_stands(text: str) -> None:
    found = [token.strip() for token in words(text) if "<" in token]
    assert all(token in PLACEHOLDERS for token in found)
    assert len(found) == text.count("<")


def test_marks_are_skipped_in_the_text_and_the_unknown_mark_is_not() -> None:
    vocabulary = _vocabulary("x y")
    x, y = vocabulary.encode("x y")
    assert vocabulary.decode([BOS_ID, x, PAD_ID, y, EOS_ID]) == "x y"
    assert vocabulary.decode([x, UNK_ID]) == "x<unk>"


def test_a_vocabulary_is_the_same_after_saving(tmp_path: Path) -> None:
    vocabulary = _vocabulary("“naïve” — 日本 <artist>'s\u2009“x”")
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json") == vocabulary


MARKS = '"<pad>", "<bos>", "<eos>", "<unk>"'


@pytest.mark.parametrize("content", ["{}", "[]", '["<pad>"]', f"[{MARKS}, 5]", f'[{MARKS}, "a", "a"]', "x"])
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"vocabulary|Expecting"):
        Vocabulary.load(path)


def test_placeholders_are_filled_with_names_that_are_known_and_left_otherwise() -> None:
    text = "<artist>'s <title> is <artist>."
    assert fill_placeholders(text, artist="Ona", title="Moss") == "Ona's Moss is Ona."
    assert fill_placeholders(text, artist="Ona", title=None) == "Ona's <title> is Ona."
    assert fill_placeholders(text, artist="", title=None) == text


def test_a_name_that_looks_like_a_placeholder_is_put_in_as_it_is() -> None:
    assert fill_placeholders("<artist>: <title>", artist="<title>", title="<artist>") == "<title>: <artist>"
    assert fill_placeholders("<artist>", artist=r"\g<0> \1", title="x") == r"\g<0> \1"
