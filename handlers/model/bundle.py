"""A model as a folder: what an archive and a registered version hold, and nothing that has to be unpickled.

config.json          names, sizes, lineage, desired topic          (`BundleConfig`)
weights.safetensors  decoder.*, generator.*, topics.*, copies.*; in its metadata, hashes of the three tables below
vocabulary.json      tokens in the order of their ids
genres.json          genre labels in the order of their embedding
topic_words.json     the topic model's words
model_card.md        for people
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from handlers.contract import ARCHIVE_CONFIG
from handlers.model.copies import CopyTable
from handlers.model.decoder import Decoder, DecoderConfig
from handlers.model.generator import Generator, GeneratorConfig
from handlers.model.genres import GenreTable
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import Vocabulary

WEIGHTS: Final = "weights.safetensors"
VOCABULARY: Final = "vocabulary.json"
GENRES: Final = "genres.json"
TOPIC_WORDS: Final = "topic_words.json"
MODEL_CARD: Final = "model_card.md"
FILES: Final = (ARCHIVE_CONFIG, WEIGHTS, VOCABULARY, GENRES, TOPIC_WORDS, MODEL_CARD)
FORMAT: Final = 1
_TABLES: Final = "tables"
_COPIES: Final = "copies.hashes"

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class BundleError(Exception):
    """A folder that is not a bundle, or one whose parts do not fit each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """What config.json says."""

    model: str
    """Registered name: cvae or lcgan."""
    version: str
    """Version in the registry; 0 before it is registered."""
    decoder: DecoderConfig
    generator: GeneratorConfig | None
    """None for a model that decodes z as it comes from the prior."""
    topics: tuple[str, ...]
    desired_topic: str
    num_genres: int
    lineage: dict[str, str]
    """Where the model came from: corpus hash, run ids, the cvae version that an lcgan moves."""
    format: int = FORMAT

    def to_json(self) -> str:
        """The text of config.json."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> BundleConfig:
        """Read what `to_json` wrote.

        Raises:
            BundleError: the text is no configuration, or one of another format.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            if document["format"] != FORMAT:
                raise BundleError(f"config.json has format {document['format']}, this code reads {FORMAT}")
            document["decoder"] = DecoderConfig(**document["decoder"])
            if document["generator"] is not None:
                document["generator"] = GeneratorConfig(**document["generator"])
            document["topics"] = tuple(document["topics"])
            return cls(**document)
        except (ValueError, KeyError, TypeError) as cause:
            expected = ", ".join(field.name for field in fields(cls))
            raise BundleError(f"config.json cannot be read ({cause!r}); it needs {expected}") from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything that is needed to decode, in memory."""

    config: BundleConfig
    vocabulary: Vocabulary
    genres: GenreTable
    topics: TopicModel
    decoder: Decoder
    generator: Generator | None
    copies: CopyTable | None = None
    """What the training sentences hold; None in bundles older than it."""

    def save(self, directory: Path, *, model_card: str) -> None:
        """Write the bundle's files into an existing folder."""
        tensors = _prefixed("decoder", self.decoder)
        if self.generator is not None:
            tensors |= _prefixed("generator", self.generator)
        tensors["topics.alpha"] = self.topics.alpha_K.contiguous()
        tensors["topics.exp_elog_beta"] = self.topics.exp_elog_beta_KW.contiguous()
        if self.copies is not None:
            tensors[_COPIES] = self.copies.hashes_N
        # Not save_file: its own error for a full disk is no OSError, and says nothing about the file.
        # One entry: safetensors writes several in whatever order, and the same model should be the same bytes.
        metadata = {_TABLES: json.dumps(self._table_hashes(), sort_keys=True)}
        content = save(tensors, metadata=metadata)
        # A bundle that was loaded from here reads its weights from the old file: it must not be written over.
        (directory / WEIGHTS).unlink(missing_ok=True)
        (directory / WEIGHTS).write_bytes(content)
        (directory / ARCHIVE_CONFIG).write_text(self.config.to_json(), encoding="utf-8")
        self.vocabulary.save(directory / VOCABULARY)
        _write_json(directory / GENRES, self.genres.labels)
        _write_json(directory / TOPIC_WORDS, self.topics.words)
        (directory / MODEL_CARD).write_text(model_card, encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Bundle:
        """Read a bundle; its weights stay in the file, memory-mapped, and are read when something uses them.

        Workers of one version so share what they keep of them, and the system may drop what nobody uses. Writing to a
        weight gives this process a copy of its own of that page and leaves the file as it is.

        Raises:
            BundleError: a file is missing or unreadable, or the parts do not fit each other.
        """
        missing = [name for name in FILES if not (directory / name).is_file()]
        if missing:
            raise BundleError(f"{directory} is not a bundle: {', '.join(missing)} missing")
        try:
            config = BundleConfig.from_json((directory / ARCHIVE_CONFIG).read_text(encoding="utf-8"))
            _check_sizes(config)
            tensors = load_file(directory / WEIGHTS)
            _check_numbers(tensors)
            trained_with = _trained_with(directory / WEIGHTS)
            decoder = _restored(Decoder(config.decoder), tensors, "decoder")
            generator = None
            if config.generator is not None:
                generator = _restored(Generator(config.generator), tensors, "generator")
            topics = TopicModel(
                words=tuple(_read_json(directory / TOPIC_WORDS)),
                names=config.topics,
                alpha_K=tensors["topics.alpha"],
                exp_elog_beta_KW=tensors["topics.exp_elog_beta"],
                desired=config.topics.index(config.desired_topic),
            )
            copies = CopyTable(hashes_N=tensors[_COPIES]) if _COPIES in tensors else None
            vocabulary = Vocabulary.load(directory / VOCABULARY)
            genres = GenreTable(labels=tuple(_read_json(directory / GENRES)))
        except (SafetensorError, RuntimeError, OSError, KeyError, ValueError, TypeError) as cause:
            raise BundleError(f"{directory} cannot be loaded: {cause}") from cause
        if (len(vocabulary), len(genres)) != (config.decoder.vocabulary_size, config.decoder.num_genres):
            raise BundleError(
                f"{directory}: weights are for {config.decoder.vocabulary_size} tokens and "
                f"{config.decoder.num_genres} genres, the tables hold {len(vocabulary)} and {len(genres)}"
            )
        bundle = cls(
            config=config,
            vocabulary=vocabulary,
            genres=genres,
            topics=topics,
            decoder=decoder,
            generator=generator,
            copies=copies,
        )
        strange = [name for name, found in bundle._table_hashes().items() if trained_with.get(name, found) != found]
        if strange:
            raise BundleError(
                f"{directory}: the weights were trained with another {' and another '.join(strange)} of the same size: "
                "these are files of two models; fetch the archive anew, or pack it with `deephypebot train`"
            )
        return bundle

    def _table_hashes(self) -> dict[str, str]:
        """What the weights' rows stand for, by the name of the file that says so."""
        tables = {VOCABULARY: self.vocabulary.tokens, GENRES: self.genres.labels, TOPIC_WORDS: self.topics.words}
        return {name: hashlib.sha256(json.dumps(table).encode()).hexdigest() for name, table in tables.items()}


def _trained_with(weights: Path) -> dict[str, str]:
    """Hashes of the tables that the weights were saved with; none in a file older than they are."""
    with safe_open(weights, framework="pt") as opened:
        hashes: dict[str, str] = json.loads((opened.metadata() or {}).get(_TABLES, "{}"))
    return hashes


def _check_numbers(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, values in tensors.items():
        if name == _COPIES:
            continue
        if values.dtype != torch.float32:
            raise ValueError(f"{name} is {values.dtype}, not torch.float32")
        if values.numel() and not torch.isfinite(torch.stack(torch.aminmax(values))).all():
            raise ValueError(f"{name} holds values that are no finite numbers: the training went wrong, or the file")


def _check_sizes(config: BundleConfig) -> None:
    """Whether the parts that config.json describes fit each other."""
    if config.num_genres != config.decoder.num_genres:
        raise ValueError(f"num_genres is {config.num_genres}, the decoder's {config.decoder.num_genres}")
    if config.generator is None:
        return
    needed = (config.decoder.z_size, config.decoder.genre_size, len(config.topics))
    given = (config.generator.z_size, config.generator.genre_size, config.generator.num_topics)
    if given != needed:
        raise ValueError(
            f"z, genre and topic sizes of the generator are {given}, of the rest {needed}: they are of two trainings; "
            "pack the model again with `deephypebot train`"
        )


def bundle_sha256(directory: Path) -> str:
    """Hash of what a bundle's files say, the version number left out.

    Archives carry time stamps, so two builds of one model differ; this hash does not.
    """
    digest = hashlib.sha256()
    for name in sorted(set(FILES) - {MODEL_CARD}):
        content = (directory / name).read_bytes()
        if name == ARCHIVE_CONFIG:
            document = json.loads(content)
            del document["version"]
            content = json.dumps(document, sort_keys=True).encode()
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def _prefixed(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def _restored(module: ModuleT, tensors: Mapping[str, torch.Tensor], prefix: str) -> ModuleT:
    state = {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(prefix + ".")}
    # The initial values go. (Making none, on torch's meta device, imports its compiler: 1.5 s for 0.02.)
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0), encoding="utf-8")


def _read_json(path: Path) -> list[str]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BundleError(f"{path} must hold a list of strings")
    return values
