from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.vocabulary import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    PLACEHOLDERS,
    SPECIALS,
    UNK_ID,
    Vocabulary,
    fill_placeholders,
    tokenize,
)

pieces = st.one_of(
    st.sampled_from(
        [*PLACEHOLDERS, "<artist>'s", "it's", "lo-fi", "1,999.5", "“hiss”", "naïve", "…", "-", "rock’n’roll"]
    ),
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=8),
)
sentences = st.lists(pieces, min_size=1, max_size=12).map(lambda parts: " ".join(" ".join(parts).split()))


def _vocabulary(*sentences_: str) -> Vocabulary:
    return Vocabulary.build(sentences_, min_count=1, max_size=10_000)


@given(sentences)
def test_the_tokens_of_a_sentence_join_to_the_sentence(sentence: str) -> None:
    assert "".join(tokenize(sentence)) == sentence


@given(sentences)
def test_a_sentence_of_known_tokens_comes_back_whole(sentence: str) -> None:
    vocabulary = _vocabulary(sentence)
    ids = vocabulary.encode(sentence)
    assert UNK_ID not in ids
    assert vocabulary.decode(ids) == sentence


@given(sentences, sentences)
def test_unknown_tokens_become_the_unknown_mark_one_for_one(known: str, other: str) -> None:
    vocabulary = _vocabulary(known)
    tokens = tokenize(other)
    expected = [token in vocabulary.tokens for token in tokens]
    assert [number != UNK_ID for number in vocabulary.encode(other)] == expected


@pytest.mark.parametrize(
    "text", ["<artist>", "a <title> b", "(<artist>)", "<artist>'s", "<artist><title>", "“<title>”"]
)
def test_a_placeholder_is_one_token_wherever_it_stands(text: str) -> None:
    found = [token.strip() for token in tokenize(text) if "<" in token]
    assert all(token in PLACEHOLDERS for token in found)
    assert len(found) == text.count("<")


def test_placeholders_are_kept_in_a_vocabulary_of_text_without_them() -> None:
    vocabulary = Vocabulary.build(["warm hiss"], min_count=5, max_size=1)
    assert vocabulary.tokens == (*SPECIALS, "<artist>", " <artist>", "<title>", " <title>")
    assert [len(forms) for forms in vocabulary.placeholder_ids()] == [2, 2]
    assert {vocabulary.tokens[number].strip() for number in vocabulary.placeholder_ids()[0]} == {"<artist>"}


@given(st.lists(st.sampled_from([" warm", " cold", " dim", " loud", " slow"]), max_size=30), st.randoms())
def test_the_order_of_sentences_does_not_change_the_vocabulary(words: list[str], random: object) -> None:
    shuffled = list(words)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random, which hypothesis does not say
    first = Vocabulary.build(words, min_count=1, max_size=10)
    assert Vocabulary.build(shuffled, min_count=1, max_size=10) == first


def test_the_most_frequent_tokens_are_kept_and_equals_go_by_name() -> None:
    vocabulary = Vocabulary.build(["x b a", "x b a", "x c"], min_count=1, max_size=len(SPECIALS) + 4 + 3)
    assert vocabulary.tokens[-3:] == ("x", " a", " b")


def test_a_token_below_the_least_count_is_unknown() -> None:
    vocabulary = Vocabulary.build(["x b", "x c"], min_count=2, max_size=100)
    assert vocabulary.encode("x b") == [vocabulary.tokens.index("x"), UNK_ID]


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
