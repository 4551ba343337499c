"""A model as a folder of an archive or a registered version; nothing in it is unpickled.

config.json          names, sizes, lineage, desired topic          (`BundleConfig`)
weights.safetensors  decoder.*, generator.*, topics.*, copies.*, phrases.*, discriminator.*, lexicon.*, latent.*; its
                     metadata holds hashes of the three tables below
vocabulary.json      tokens in the order of their ids
genres.json          genre labels in the order of their embedding
topic_words.json     words of the topic model
acceptability.json   score of candidates                           (`Acceptability`; not in older bundles)
served_value.safetensors   value function of sentences             (`SentenceValue`; of models that learned from
                     verdicts)
model_card.md        description for readers

Shapes: K topics, W words, N n-grams or sentences, G contexts of words, V tokens, Z latent vector.
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

from handlers.contract import ARCHIVE_CONFIG, CONTRACT_FIELD, RANK_BY_FIELD, RankBy
from handlers.model.acceptability import Acceptability
from handlers.model.copies import CopyTable
from handlers.model.decoder import Decoder, DecoderConfig
from handlers.model.discriminator import Discriminator
from handlers.model.generator import Generator, GeneratorConfig
from handlers.model.genres import GenreTable
from handlers.model.latent import LatentMixture
from handlers.model.lexicon import Lexicon
from handlers.model.phrases import PhraseTable
from handlers.model.topics import TopicModel
from handlers.model.value import VALUE, SentenceValue
from handlers.model.vocabulary import Vocabulary
from handlers.reference import REFERENCE, Reference

WEIGHTS: Final = "weights.safetensors"
VOCABULARY: Final = "vocabulary.json"
GENRES: Final = "genres.json"
TOPIC_WORDS: Final = "topic_words.json"
MODEL_CARD: Final = "model_card.md"
ACCEPTABILITY: Final = "acceptability.json"
FILES: Final = (ARCHIVE_CONFIG, WEIGHTS, VOCABULARY, GENRES, TOPIC_WORDS, MODEL_CARD)
"""Files of every bundle."""
OPTIONAL_FILES: Final = (ACCEPTABILITY, REFERENCE, VALUE)
"""Files of a bundle that may be absent."""
FORMAT: Final = 1
_TABLES: Final = "tables"
_COPIES: Final = "copies.hashes"
_PHRASES: Final = "phrases"
_DISCRIMINATOR: Final = "discriminator"
_LEXICON: Final = "lexicon"
_LATENT: Final = "latent"
_UNIGRAMS: Final = "acceptability.unigram_log_probs"

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class BundleError(Exception):
    """A folder that is not a bundle, or one whose parts do not fit each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """Contents of config.json."""

    model: str
    """Registered name: cvae or lcgan."""
    version: str
    """Version in the registry; 0 before the model is registered."""
    decoder: DecoderConfig
    generator: GeneratorConfig | None
    """Sizes of the generator; None for a model that decodes z as it comes from the prior."""
    topics: tuple[str, ...]
    desired_topic: str
    num_genres: int
    lineage: dict[str, str]
    """Origin of the model: corpus hash, run ids, and for an lcgan the version of its cvae."""
    rank_by: RankBy = RankBy.ACCEPTABILITY
    """Rule by which candidates are ranked where a request does not say."""
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the text of config.json."""
        document = asdict(self)
        if self.rank_by is RankBy.ACCEPTABILITY:
            del document[RANK_BY_FIELD]  # as in bundles of before there was another, so that their hashes stay
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> BundleConfig:
        """Read the text of a config.json.

        Raises:
            BundleError: the text is not a configuration, or has another format.
        """
        try:
            document: dict[str, Any] = {**json.loads(text)}
            document.pop(CONTRACT_FIELD, None)  # a note of the archive's, not of the bundle's
            if document["format"] != FORMAT:
                raise BundleError(f"config.json has format {document['format']}, this code reads {FORMAT}")
            document["decoder"] = DecoderConfig(**document["decoder"])
            if document["generator"] is not None:
                document["generator"] = GeneratorConfig(**document["generator"])
            document["topics"] = tuple(document["topics"])
            document[RANK_BY_FIELD] = RankBy(document.get(RANK_BY_FIELD, RankBy.ACCEPTABILITY))
            return cls(**document)
        except (ValueError, KeyError, TypeError) as cause:
            expected = ", ".join(field.name for field in fields(cls))
            raise BundleError(f"config.json cannot be read ({cause!r}); it needs {expected}") from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A model in memory: configuration, tables and networks."""

    config: BundleConfig
    vocabulary: Vocabulary
    genres: GenreTable
    topics: TopicModel
    decoder: Decoder
    generator: Generator | None
    copies: CopyTable | None = None
    """N-grams of the training sentences; None in bundles that were written before there was such a table."""
    phrases: PhraseTable | None = None
    """Word pairs and triples of the training sentences; None in older bundles."""
    discriminator: Discriminator | None = None
    """Discriminator of real sentences from this model's samples; None in older bundles."""
    acceptability: Acceptability | None = None
    """Score of candidates; None in older bundles, whose candidates are ranked by topic and genres."""

    lexicon: Lexicon | None = None
    """Words that may be written; None in older bundles, which may write any."""
    latent: LatentMixture | None = None
    """Distribution of latent vectors; None in older bundles, which draw them from the prior."""
    reference: Reference | None = None
    """Figures at the training, with which live traffic is compared; None in older bundles."""
    value: SentenceValue | None = None
    """Value function, which can rank candidates; None in bundles that did not learn from verdicts."""

    def save(self, directory: Path, *, model_card: str) -> None:
        """Write the bundle's files into an existing folder."""
        tensors = _prefixed("decoder", self.decoder)
        if self.generator is not None:
            tensors |= _prefixed("generator", self.generator)
        tensors["topics.alpha"] = self.topics.alpha_K.contiguous()
        tensors["topics.exp_elog_beta"] = self.topics.exp_elog_beta_KW.contiguous()
        if self.copies is not None:
            tensors[_COPIES] = self.copies.hashes_N
        if self.phrases is not None:
            tensors |= _with_prefix(_PHRASES, self.phrases.tensors())
        if self.discriminator is not None:
            tensors |= _with_prefix(_DISCRIMINATOR, self.discriminator.tensors())
        if self.lexicon is not None:
            tensors |= _with_prefix(_LEXICON, self.lexicon.tensors())
        if self.latent is not None:
            tensors |= _with_prefix(_LATENT, self.latent.tensors())
        if self.acceptability is not None:
            tensors[_UNIGRAMS] = self.acceptability.unigram_log_probs_V
        # Not `save_file`: its error for a full disk is not an OSError and does not name the file.
        # One entry: safetensors writes several in any order, and the same model should give the same bytes.
        metadata = {_TABLES: json.dumps(self._table_hashes(), sort_keys=True)}
        content = save(tensors, metadata=metadata)
        # A bundle that was loaded from here still reads its weights from the old file, which must not be overwritten.
        (directory / WEIGHTS).unlink(missing_ok=True)
        (directory / WEIGHTS).write_bytes(content)
        (directory / ARCHIVE_CONFIG).write_text(self.config.to_json(), encoding="utf-8")
        self.vocabulary.save(directory / VOCABULARY)
        _write_json(directory / GENRES, self.genres.labels)
        _write_json(directory / TOPIC_WORDS, self.topics.words)
        self._save_optional(directory)
        (directory / MODEL_CARD).write_text(model_card, encoding="utf-8")

    def _save_optional(self, directory: Path) -> None:
        """Write the files that not every bundle has."""
        if self.acceptability is not None:
            (directory / ACCEPTABILITY).write_text(self.acceptability.to_json(), encoding="utf-8")
        if self.reference is not None:
            (directory / REFERENCE).write_text(self.reference.to_json(), encoding="utf-8")
        if self.value is not None:
            self.value.save(directory / VALUE)

    @classmethod
    def load(cls, directory: Path) -> Bundle:
        """Read a bundle; its weights are memory-mapped and read from the file when they are used.

        Workers of one version share these pages, and the system may drop unused ones. Writing to a weight copies its
        page for this process and leaves the file as it is.

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
            sets, network = _under(_PHRASES, tensors), _under(_DISCRIMINATOR, tensors)
            phrases = PhraseTable.of_tensors(sets) if sets else None
            discriminator = Discriminator.of_tensors(network) if network else None
            words = _under(_LEXICON, tensors)
            lexicon = Lexicon(**words) if words else None
            mixture = _under(_LATENT, tensors)
            latent = LatentMixture.of_tensors(mixture) if mixture else None
            acceptability = _acceptability(directory / ACCEPTABILITY, tensors)
            known = directory / REFERENCE
            reference = Reference.from_json(known.read_text(encoding="utf-8")) if known.is_file() else None
            value = _value(directory / VALUE, config)
            vocabulary = Vocabulary.load(directory / VOCABULARY)
            genres = GenreTable(labels=tuple(_read_json(directory / GENRES)))
        except (SafetensorError, RuntimeError, OSError, KeyError, ValueError, TypeError) as cause:
            raise BundleError(f"{directory} cannot be loaded: {cause}") from cause
        num_tokens = {
            "discriminator": discriminator and discriminator.network.config.vocabulary_size,
            "acceptability": acceptability and len(acceptability.unigram_log_probs),
            "lexicon": lexicon and lexicon.entry_GV.shape[1],
            "value function": value and value.num_tokens,
        }
        for name, number in num_tokens.items():
            if number is not None and number != len(vocabulary):
                raise BundleError(
                    f"{directory}: the {name} is for {number} tokens, the vocabulary holds {len(vocabulary)}"
                )
        if (len(vocabulary), len(genres)) != (config.decoder.vocabulary_size, config.decoder.num_genres):
            raise BundleError(
                f"{directory}: weights are for {config.decoder.vocabulary_size} tokens and "
                f"{config.decoder.num_genres} genres, the tables hold {len(vocabulary)} and {len(genres)}"
            )
        if latent is not None and latent.means_NZ.shape[1] != config.decoder.z_size:
            raise BundleError(
                f"{directory}: the latent mixture has {latent.means_NZ.shape[1]} dimensions, the decoder "
                f"{config.decoder.z_size}"
            )
        bundle = cls(
            config=config,
            vocabulary=vocabulary,
            genres=genres,
            topics=topics,
            decoder=decoder,
            generator=generator,
            copies=copies,
            phrases=phrases,
            discriminator=discriminator,
            lexicon=lexicon,
            latent=latent,
            acceptability=acceptability,
            reference=reference,
            value=value,
        )
        strange = [name for name, found in bundle._table_hashes().items() if trained_with.get(name, found) != found]
        if strange:
            raise BundleError(
                f"{directory}: the weights were trained with another {' and another '.join(strange)} of the same size: "
                "these are files of two models; fetch the archive again, or pack it with `deephypebot train`"
            )
        return bundle

    def _table_hashes(self) -> dict[str, str]:
        """Return a hash of each table that names the rows of the weights, by file name."""
        tables = {VOCABULARY: self.vocabulary.tokens, GENRES: self.genres.labels, TOPIC_WORDS: self.topics.words}
        return {name: hashlib.sha256(json.dumps(table).encode()).hexdigest() for name, table in tables.items()}


def _acceptability(path: Path, tensors: Mapping[str, torch.Tensor]) -> Acceptability | None:
    """Return the score of candidates, if the bundle has one."""
    # Weights without the file have lost it: other sentences would be chosen, and nobody would see why.
    if _UNIGRAMS not in tensors and not path.is_file():
        return None
    return Acceptability.from_json(path.read_text(encoding="utf-8"), tensors[_UNIGRAMS])


def _value(path: Path, config: BundleConfig) -> SentenceValue | None:
    """Return the value function, if the bundle has one."""
    if not path.is_file():
        if config.rank_by.needs_values:
            raise ValueError(
                f"it ranks candidates by {config.rank_by}, and {VALUE} is missing; fetch the archive again"
            )
        return None
    value = SentenceValue.load(path)
    value.check(embedding_size=config.decoder.embedding_size, num_topics=len(config.topics))
    return value


def _trained_with(weights: Path) -> dict[str, str]:
    """Return the hashes of the tables that the weights were saved with; older files have none."""
    with safe_open(weights, framework="pt") as opened:
        hashes: dict[str, str] = json.loads((opened.metadata() or {}).get(_TABLES, "{}"))
    return hashes


def _check_numbers(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, values in tensors.items():
        if name == _COPIES or name.startswith((f"{_PHRASES}.", f"{_LEXICON}.")):
            continue
        if values.dtype != torch.float32:
            raise ValueError(f"{name} is {values.dtype}, not torch.float32")
        if values.numel() and not torch.isfinite(torch.stack(torch.aminmax(values))).all():
            raise ValueError(f"{name} holds values that are not finite: the training diverged, or the file is damaged")


def _check_sizes(config: BundleConfig) -> None:
    """Check that the parts that config.json describes fit each other."""
    if config.num_genres != config.decoder.num_genres:
        raise ValueError(f"num_genres is {config.num_genres}, the decoder's {config.decoder.num_genres}")
    if config.generator is None:
        return
    needed = (config.decoder.z_size, config.decoder.genre_size, len(config.topics))
    given = (config.generator.z_size, config.generator.genre_size, config.generator.num_topics)
    if given != needed:
        raise ValueError(
            f"the generator has z, genre and topic sizes {given}, the rest {needed}: they come from two trainings; "
            "pack the model again with `deephypebot train`"
        )


def bundle_files(directory: Path) -> tuple[str, ...]:
    """Return the names of a bundle's files: those of every bundle, and the optional ones that it has."""
    return (*FILES, *(name for name in OPTIONAL_FILES if (directory / name).is_file()))


def bundle_sha256(directory: Path) -> str:
    """Return a hash of the contents of a bundle's files, without the model card and the version number.

    Archives carry time stamps, so two builds of one model differ; this hash is the same for both.
    """
    digest = hashlib.sha256()
    for name in sorted(set(bundle_files(directory)) - {MODEL_CARD}):
        content = (directory / name).read_bytes()
        if name == ARCHIVE_CONFIG:
            document = json.loads(content)
            del document["version"]
            document.pop(CONTRACT_FIELD, None)
            content = json.dumps(document, sort_keys=True).encode()
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def _prefixed(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    state = module.state_dict()
    return _with_prefix(prefix, {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})


def _with_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors with a prefix, without it."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def _restored(module: ModuleT, tensors: Mapping[str, torch.Tensor], prefix: str) -> ModuleT:
    state = _under(prefix, tensors)
    # The initial values are dropped. (On torch's meta device there are none, but it imports its compiler: 1.5 s, not
    # 0.02 s.)
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0), encoding="utf-8")


def _read_json(path: Path) -> list[str]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BundleError(f"{path} must hold a list of strings")
    return values
