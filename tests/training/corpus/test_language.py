from __future__ import annotations

import pytest

from training.corpus.language import english_share


@pytest.mark.parametrize(
    "text",
    [
        "The drums are loud and the horns come in late.",
        "Best album of the year, I can not stop playing it!!!!!!!!",
        "THE PRODUCTION ON THIS RECORD IS OUT OF THIS WORLD.",
        "i dont even like this band but wow",
        'On "Noche de Verano" Orva sings about her home town for the first time.',
    ],
)
def test_english_is_english_in_capitals_with_slips_and_foreign_names(text: str) -> None:
    assert english_share(text) > 0.5


@pytest.mark.parametrize(
    "text",
    [
        "Las canciones de este disco son muy buenas y la voz es preciosa.",
        "O melhor álbum da banda, as letras são lindas do início ao fim.",
        "Ce disque est sans doute le plus beau de toute sa carrière.",
        "Это лучший альбом группы за последние десять лет.",
        "Questo è il disco più bello che abbia mai sentito in vita mia.",
        "このアルバムは本当に素晴らしいと思います、毎日聴いています。",
    ],
)
def test_other_languages_are_not(text: str) -> None:
    assert english_share(text) < 0.1


@pytest.mark.parametrize("text", ["", "Wow!", "12345", "Orva Tolk", "la la la la la la la la la la"])
def test_what_is_too_short_to_say_is_taken_for_english(text: str) -> None:
    assert english_share(text) == 1.0
