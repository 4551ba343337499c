"""Requests, and their JSON in each version of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from handlers.contract.checks import as_tuple, check_int, check_text, check_texts, make_tuple
from handlers.contract.errors import invalid, shown
from handlers.contract.limits import MAX_GENRES
from handlers.contract.names import CONTRACT, FIRST_CONTRACT, RULES_CONTRACT
from handlers.contract.sampling import SAMPLING_FIELDS, RankBy, SamplingParams
from handlers.contract.values import field_values


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentaryRequest:
    """One request for samples, checked when it is made.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the first field whose type or range is wrong.
    """

    genres: tuple[str, ...] | list[str] = ()
    """The song's genres; may be empty. Unknown ones are answered and listed."""
    artist: str | None = None
    """Text that replaces the placeholder `<artist>`."""
    title: str | None = None
    """Text that replaces the placeholder `<title>`."""
    num_samples: int = 5
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """Sampling parameters. On the wire each is a field of the request."""
    seed: int | None = None
    """Same seed, same weights, same text. The worker draws one when it is absent, and reports it."""
    best_of: int | None = None
    """Candidates decoded for each sample, of which the best is returned; None leaves the number to the model:
    `DEFAULT_BEST_OF`, or 1 by models of earlier versions."""
    rank_by: RankBy | None = None
    """Rule by which the best of the candidates is chosen. None, or an empty text, leaves it to the model, which ranks
    by acceptability, or by both if it learned from verdicts. Archives without a value function refuse what needs one.
    """
    topic: str | None = None
    """A topic to steer to, by number or name as the model's description lists them; its desired one when absent."""
    unit: str | None = None
    """Key of sticky assignment in a split."""
    request_id: str | None = None

    def __post_init__(self) -> None:
        make_tuple(self, "genres")
        check_texts("genres", self.genres, MAX_GENRES, "genres")
        for name in ("artist", "title", "topic", "unit", "request_id"):
            check_text(name, getattr(self, name))
        check_int("num_samples", self.num_samples)
        if self.seed is not None:
            check_int("seed", self.seed)
        if self.best_of is not None:
            check_int("best_of", self.best_of)
        object.__setattr__(self, "rank_by", _rule(self.rank_by))

    def to_mapping(self) -> dict[str, Any]:
        """Return the values of the wire's fields (`REQUEST_FIELDS`), None where one is absent.

        >>> request = CommentaryRequest(genres=("ambient",), sampling=SamplingParams(top_k=40))
        >>> request.to_mapping()["top_k"]
        40
        """
        values = field_values(self)
        return {**field_values(values.pop("sampling")), **values}

    def to_json(self, contract: int = CONTRACT) -> bytes:
        """Encode for TorchServe's `data` field; fields at None are omitted, as are later ones at their default.

        Args:
            contract: version of the JSON that the archive's worker reads.
        """
        values = self.to_mapping()
        if contract < RULES_CONTRACT and self.rank_by is RankBy.ACCEPTABILITY:
            values["rank_by"] = None  # the only rule that such an archive has, and a field that it may not know
        document = {name: value for name, value in values.items() if value != _OMITTED.get(name)}
        if contract == FIRST_CONTRACT:
            document = {FIRST_NAMES.get(name, name): value for name, value in document.items()}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, payload: bytes | bytearray | str) -> CommentaryRequest:
        """Decode and check a request.

        Raises:
            ContractError: INVALID_ARGUMENT for anything but a JSON object of known, well-typed fields.
        """
        return cls.from_mapping(_loads(payload))

    @classmethod
    def from_mapping(cls, document: object) -> CommentaryRequest:
        """Check a decoded JSON document of either version; see `from_json`."""
        if not isinstance(document, Mapping):
            raise invalid("", f"the request must be a JSON object, got {type(document).__name__}")
        values = {name: value for name, value in _renamed(document).items() if value is not None}
        if "genres" not in values:
            raise invalid("genres", "is required (it may be an empty list)")
        for name in ("genres", "bad_words"):
            if name in values:
                values[name] = as_tuple(name, values[name])
        sampling = {name: values.pop(name) for name in SAMPLING_FIELDS if name in values}
        return cls(**values, sampling=SamplingParams(**sampling))


_RULES: Final = frozenset(rule.value for rule in RankBy)
REQUEST_FIELDS: Final = (
    *(each.name for each in fields(CommentaryRequest) if each.name != "sampling"),
    *SAMPLING_FIELDS,
)
"""Names of a request's fields on the wire."""

_FIRST_SAMPLING_FIELDS: Final = frozenset({"temperature", "top_k", "top_p", "min_p", "max_tokens"})
_OMITTED: Final[Mapping[str, Any]] = {
    each.name: each.default for each in fields(SamplingParams) if each.name not in _FIRST_SAMPLING_FIELDS
}
"""Fields that came later, by the defaults at which they change nothing. An archive runs the code that it
was packed with, and refuses fields that its code lacks: they are sent only where a client sets them."""
FIRST_NAMES: Final[Mapping[str, str]] = {"no_repeat_ngram_size": "no_repeat_ngram", "bad_words": "banned"}
"""Names of fields in version 1 of the JSON, where they differ."""


def _renamed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request with the names of this version, whichever version it was written in."""
    values = dict(document)
    for name, first_name in FIRST_NAMES.items():
        if first_name in values:
            if name in values:
                raise invalid(first_name, f"is the former name of {name}; give only one of them")
            values[name] = values.pop(first_name)
    for key in values:
        if key not in REQUEST_FIELDS:
            raise invalid(shown(key), f"unknown field; known fields are {', '.join(sorted(REQUEST_FIELDS))}")
    return values


def _rule(value: object) -> RankBy | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid("rank_by", f"must be a string, got {type(value).__name__}")
    if value and value not in _RULES:
        raise invalid("rank_by", f"must be one of {', '.join(RankBy)}, got {shown(value)!r}")
    return RankBy(value) if value else None


def _loads(payload: bytes | bytearray | str) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as cause:
        raise invalid("", f"the request is not valid JSON: {cause}") from cause
