"""Figures of single texts, of which a row has the mean: made-up words, names, fluency, faults, copies, kind.

Shapes: N texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.evaluation.copying import find_copies
from training.evaluation.fluency import FluencyMeasure, fluency_figures
from training.evaluation.intervals import Figure, Resampler
from training.evaluation.judges import Judges
from training.evaluation.made_up import KnownWords
from training.evaluation.names import lists_names, repeats_name
from training.evaluation.surface import check
from training.evaluation.words import Encoded, FloatArray

_NAMES: Final[Mapping[str, Callable[[str], bool]]] = {"name_repeats": repeats_name, "name_lists": lists_names}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMeasure:
    """Measure of single texts, fitted on a corpus."""

    known: KnownWords
    fluency: FluencyMeasure
    judges: Judges
    train: Encoded
    """Sentences of the training split."""

    def row_figures(
        self, sets: Sequence[Sequence[str]], encoded: Sequence[Encoded], resampler: Resampler
    ) -> dict[str, Figure]:
        """Measure made-up words, names and fluency of a row's sets."""
        made_up = [self.known.count(texts) for texts in sets]
        words = [each.words_N for each in made_up]
        figures = {
            "made_up_words": resampler.ratio([each.made_up_N for each in made_up], words),
            "made_up_lower": resampler.ratio([each.lower_N for each in made_up], words),
            "made_up_texts": resampler.ratio([np.minimum(each.made_up_N, 1) for each in made_up]),
        }
        for name, holds in _NAMES.items():
            figures[name] = resampler.ratio([_flags(texts, holds) for texts in sets])
        return {**figures, **fluency_figures([self.fluency.score(each) for each in encoded], resampler)}

    def per_text(self, texts: Sequence[str], encoded: Encoded) -> dict[str, FloatArray]:
        """Return every figure of each text by name, [N]."""
        made_up = self.known.count(texts)
        copies = find_copies(self.train, encoded)
        faults = check(texts)
        return {
            "made_up_words": made_up.made_up_N / np.maximum(made_up.words_N, 1),
            "made_up_texts": np.minimum(made_up.made_up_N, 1),
            **{name: _flags(texts, holds) for name, holds in _NAMES.items()},
            **self.fluency.score(encoded).per_text(),
            **{name: faults[name] for name in ("repeats", "broken")},
            **{f"desired_share_{judge.name}": judge.scores(texts) for judge in self.judges.all()},
            "copy_longest": copies.longest.astype(np.float64),
            "copy_8gram": (copies.copied[8] > 0).astype(np.float64),
            "length": encoded.lengths_N.astype(np.float64),
        }


def _flags(texts: Sequence[str], holds: Callable[[str], bool]) -> FloatArray:
    return np.fromiter(map(holds, texts), np.float64, len(texts))
