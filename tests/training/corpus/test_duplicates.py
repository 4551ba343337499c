from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from training.corpus.duplicates import SKETCH_BYTES, opening_key, similarity, sketch

_WORDS = "the drums of this long and winding song are played with brushes while a horn and two guitars answer in turn"


def _alike(one: str, other: str) -> float:
    first, second = sketch(one), sketch(other)
    assert first is not None
    assert second is not None
    return float(similarity(first[1], second[1]))


def test_a_text_is_like_itself_whatever_its_case_and_punctuation() -> None:
    assert _alike(_WORDS, _WORDS.upper().replace(" ", ", ")) == 1


@pytest.mark.parametrize("changed", [0, 4, 8, 16])
def test_similarity_is_about_the_share_of_word_pairs_in_common(changed: int) -> None:
    random = np.random.default_rng(changed)
    words = [f"w{number}" for number in random.permutation(40)]
    other = words[changed:] + [f"v{number}" for number in range(changed)]
    pairs, others = (set(pairwise(text)) for text in (words, other))
    truth = len(pairs & others) / len(pairs | others)
    assert _alike(" ".join(words), " ".join(other)) == pytest.approx(truth, abs=0.2)


def test_estimates_are_right_on_average() -> None:
    errors = []
    for seed in range(60):
        words = [f"w{seed} {number}" for number in range(20)]
        other = words[5:] + [f"v{seed} {number}" for number in range(5)]
        errors.append(_alike(" ".join(words), " ".join(other)) - 29 / 49)
    assert abs(np.mean(errors)) < 0.03


def test_near_texts_share_a_band_and_others_do_not() -> None:
    near, far = _WORDS.replace("horn", "trumpet"), "a quiet voice over strings that never quite settle into a tune"
    bands = [set(found[0].tolist()) for text in (_WORDS, near, far) if (found := sketch(text))]
    assert bands[0] & bands[1]
    assert not bands[0] & bands[2]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("The drums are loud but she is louder.", True),
        ("THE DRUMS (are) loud: listen.", True),
        ("The drums are loud.", True),
        ("The drums are quiet and the horns are soft.", False),
        ("So the drums are loud and the horns are soft.", False),
        ("The drums' are loud and the horns are soft.", True),
        ("The drum's are loud and the horns are soft.", False),
        ("The drums are.", False),
    ],
)
def test_an_opening_is_the_first_four_words_without_case_and_marks(other: str, same: bool) -> None:
    assert (opening_key("The drums are loud and the horns are soft.") == opening_key(other)) is same


def test_a_short_text_has_no_sketch() -> None:
    assert sketch("It is very very loud.") is None
    found = sketch("It is a very very loud song.")
    assert found is not None
    assert found[1].shape == (SKETCH_BYTES,)


@pytest.mark.slow
def test_sketches_are_the_same_in_every_process() -> None:
    program = f"from training.corpus.duplicates import sketch; print(sketch({_WORDS!r})[0].tolist())"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = sketch(_WORDS)
    assert found is not None
    assert other.stdout.strip() == str(found[0].tolist())
