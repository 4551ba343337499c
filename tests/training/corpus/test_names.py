from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.cleaning import ARTIST, TITLE
from training.corpus.names import count_names


@pytest.mark.parametrize(
    ("sentence", "count"),
    [
        ("", 0),
        ("The drums are loud.", 0),
        # A run of words is one name.
        ("It was sung by Ada.", 1),
        ("It was sung by Ada Quill.", 1),
        ("It was sung by Ada and by Bram.", 2),
        ("It was sung in May in Old Haven with Ada Quill.", 3),
        # The first word of a sentence has a capital anyway; the second one has not.
        ("Quill sings it slowly.", 0),
        ("Ada Quill sings it slowly.", 1),
        ("It ends. Then it goes on! Does it? Yes: It does.", 0),
        ("One word remains: Rain falls on Old Haven.", 1),
        ("Rain falls (Snow too) on all of us.", 0),
        ('She sings "Rain on the roof" for the roof.', 0),
        ('She sings "Rain on Old Haven" for the roof.', 1),
        ('"Rain," she sings, "Is all I have."', 0),
        # "I" names nobody, but a name may follow it.
        ("And so I'm here, and I've sung, and I'd sing, and I'll sing, as I do.", 0),
        ("And I Ada Quill sing.", 1),
        # Initials belong to the name that they start or end, though a full stop ends the run.
        ("It was sung by J Tolk and J-P Tolk.", 1),
        ("It was sung by J. Tolk.", 1),
        ("It was sung by DJ Tolk of the UK.", 1),
        # Small words join names, and others part them.
        ("It recalls Ada Quill & the Lanterns.", 1),
        ("It recalls the Lanterns of Haven.", 1),
        ("It recalls the Lanterns from Haven.", 2),
        ("It recalls Ada, Bram and Cato.", 2),
        ("It recalls Ada but not at all Bram.", 2),
        # Letters beyond ASCII have capitals too, and a capital within a word makes no name.
        ("It recalls Élan and the café.", 1),
        ("It recalls iTunes and mcTolk.", 0),
        ("It recalls ada quill and bram.", 0),
        ("It recalls 1999, 3 of 4 and 80s pop.", 0),
        # Names of the song's own are placeholders.
        (f"It is {ARTIST} who wrote {TITLE} with {ARTIST}'s band.", 0),
        (f"It is {ARTIST} who wrote it with Ada and not with Bram.", 2),
    ],
)
def test_names_are_runs_of_words_with_a_capital_within_the_sentence(sentence: str, count: int) -> None:
    assert count_names(sentence) == count


@given(st.text(max_size=80))
def test_a_sentence_never_has_more_names_than_capitals_and_none_in_lower_case(sentence: str) -> None:
    assert 0 <= count_names(sentence) <= sum(map(str.isupper, sentence))
    assert count_names("".join(letter for letter in sentence if not letter.isupper())) == 0
