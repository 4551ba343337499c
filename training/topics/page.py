"""The topics as one page to explore (pyLDAvis: Sievert and Shirley 2014), whole in one file.

pyLDAvis' own page takes d3 and its script from the web when it is opened; artifacts are opened where there may be none,
so what the package ships is written into the page. pyLDAvis itself has not been released since 2023: it runs on today's
pandas and NumPy without a warning (a test holds it to that), but its own scaling of the topic distances
(`numpy.linalg.eig` of a symmetric matrix) can come out complex and fails for two topics, so ours takes its place.

Shapes: K topics, W words, D texts.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlers.model.topics import TopicModel, topic_words
from training.files import atomic_path

Array = NDArray[np.float64]

_MOST_TEXTS: Final = 5_000
_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Topics</title>
<style>$css
body { font-family: sans-serif; margin: 1.5em; }
table { border-collapse: collapse; margin: 1em 0; }
td, th { text-align: left; padding: 0.2em 1em 0.2em 0; }
.desired { font-weight: bold; }
</style>
<h1>Topics</h1>
<table>
<tr><th>topic<th>share of the words<th>heaviest words
$rows
</table>
<div id="ldavis"></div>
<script>$d3</script>
<script>$ldavis</script>
<script>new LDAvis("#ldavis", $data);</script>
</html>
""")


def write_topic_page(model: TopicModel, word_shares_KW: Array, texts: Sequence[str], path: Path) -> None:
    """Write the page.

    Args:
        model: the topic model; its desired topic is marked.
        word_shares_KW: each topic's distribution over the model's words; rows sum to 1.
        texts: sentences whose topics decide how large each topic is drawn; the first few thousand are enough.
        path: where to write it.

    Raises:
        OutputError: it cannot be written.
    """
    with warnings.catch_warnings():  # its import sets a filter for the whole program
        import pyLDAvis  # noqa: PLC0415 - pandas and scikit-learn, which only this page needs
        from pyLDAvis import urls  # noqa: PLC0415

    known = set(model.words)
    texts = [text for text in texts[:_MOST_TEXTS] if not known.isdisjoint(topic_words(text))]
    shares_DK = model.shares(texts).numpy().astype(float)
    shares_DK /= shares_DK.sum(axis=1, keepdims=True)
    lengths_D = np.array([sum(word in known for word in topic_words(text)) for text in texts])
    weights_K = lengths_D @ shares_DK / lengths_D.sum()
    prepared: Any = pyLDAvis.prepare(
        word_shares_KW / word_shares_KW.sum(axis=1, keepdims=True),
        shares_DK,
        lengths_D,
        list(model.words),
        weights_K @ word_shares_KW,
        mds=_scaled,
        n_jobs=1,
        sort_topics=False,
        start_index=1,  # as in the topics' names; to its script, 0 is no topic
    )
    page = _PAGE.substitute(
        css=Path(urls.LDAVIS_CSS_LOCAL).read_text(encoding="utf-8"),
        d3=Path(urls.D3_LOCAL).read_text(encoding="utf-8"),
        ldavis=Path(urls.LDAVIS_LOCAL).read_text(encoding="utf-8"),
        # A word cannot end the script.
        data=prepared.to_json().replace("</", "<\\/"),
        rows="\n".join(_row(model, word_shares_KW, weights_K, topic) for topic in range(len(model.names))),
    )
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _row(model: TopicModel, word_shares_KW: Array, weights_K: Array, topic: int) -> str:
    heaviest = np.argsort(-word_shares_KW[topic])[:10]
    words = html.escape(", ".join(model.words[index] for index in heaviest))
    mark = ' class="desired"' if topic == model.desired else ""
    note = " (desired)" if topic == model.desired else ""
    return f"<tr{mark}><td>{html.escape(model.names[topic].split(' ')[0])}{note}<td>{weights_K[topic]:.3f}<td>{words}"


def _scaled(word_shares_KW: Any) -> Array:
    """Places of the topics on a plane, [K, 2]: classical scaling of their Jensen-Shannon divergences."""
    shares_KW = np.asarray(word_shares_KW, dtype=float)
    middle_KKW = (shares_KW[:, None] + shares_KW[None]) / 2
    divergence_KKW = shares_KW[:, None] * np.log(
        np.maximum(shares_KW[:, None], 1e-300) / np.maximum(middle_KKW, 1e-300)
    )
    distance_KK = divergence_KKW.sum(axis=2) / 2
    distance_KK = np.maximum(distance_KK + distance_KK.T, 0)
    centre_KK = np.eye(len(shares_KW)) - 1 / len(shares_KW)
    # The divergence is a squared distance already.
    values_K, vectors_KK = np.linalg.eigh(-centre_KK @ distance_KK @ centre_KK / 2)
    places: Array = vectors_KK[:, ::-1][:, :2] * np.sqrt(np.maximum(values_K[::-1][:2], 0))
    return places
