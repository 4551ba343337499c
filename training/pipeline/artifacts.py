"""Artifacts of a stage that later stages and later trainings load: topics, CVAE, vocabulary, bundle.

Shapes: K topics, W words.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Final

import torch
from safetensors.torch import load_file, save

from handlers.model.bundle import MODEL_CARD, VOCABULARY, Bundle
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import Vocabulary
from training.cvae.model import Cvae
from training.files import atomic_path, read_json, write_json
from training.packaging.export import save_bundle, unselected_samples
from training.pipeline.stages import Stage
from training.tracking.port import Run

BUNDLE: Final = "bundle"
CHECKPOINT: Final = "checkpoint.pt"
"""State of an interrupted CVAE."""
_CVAE: Final = "cvae.safetensors"
_TOPICS: Final = "topics.safetensors"
_TOPIC_WORDS: Final = "topics.json"


def save_topics(model: TopicModel, stage: Stage) -> None:
    """Write a topic model into the folder of its stage."""
    tensors: dict[str, torch.Tensor] = {"alpha": model.alpha_K, "exp_elog_beta": model.exp_elog_beta_KW.contiguous()}
    with atomic_path(stage.directory / _TOPICS) as partial:
        partial.write_bytes(save(tensors))
    write_json(stage.directory / _TOPIC_WORDS, {"words": model.words, "names": model.names, "desired": model.desired})


def load_topics(stage: Stage) -> TopicModel:
    """Read a topic model that `save_topics` wrote.

    Raises:
        CheckpointError: a file is damaged.
    """
    with stage.reading():
        tables = read_json(stage.directory / _TOPIC_WORDS)
        tensors = load_file(stage.directory / _TOPICS)
        return TopicModel(
            words=tuple(tables["words"]),
            names=tuple(tables["names"]),
            alpha_K=tensors["alpha"],
            exp_elog_beta_KW=tensors["exp_elog_beta"],
            desired=tables["desired"],
        )


def save_cvae(model: Cvae, stage: Stage) -> None:
    """Write a CVAE's weights, including the encoder, into the folder of its stage."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(stage.directory / _CVAE) as partial:
        partial.write_bytes(save(tensors))


def restore_cvae(model: Cvae, stage: Stage) -> Cvae:
    """Load weights that `save_cvae` wrote into a model of the same sizes, and switch it to evaluation.

    Raises:
        CheckpointError: the file is damaged, or has other sizes.
    """
    with stage.reading():
        model.load_state_dict(load_file(stage.directory / _CVAE))
    return model.eval()


def load_vocabulary(stage: Stage) -> Vocabulary | None:
    """Read the vocabulary of a finished CVAE; None if the stage is not done.

    Learning it again could give another vocabulary, for example with another release of sentencepiece.

    Raises:
        CheckpointError: the file is damaged.
    """
    if stage.result() is None:
        return None
    with stage.reading():
        return Vocabulary.load(stage.directory / BUNDLE / VOCABULARY)


def checkpoint_step(stage: Stage) -> int:
    """Return the step from which an interrupted CVAE continues; 0 without a checkpoint that can be read."""
    path = stage.root / f"{stage.name}-{stage.key}" / CHECKPOINT
    if stage.is_done or not path.exists():
        return 0
    try:
        return int(torch.load(path, weights_only=True)["done"])
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, pickle.UnpicklingError):
        # The training itself says what is wrong with it.
        return 0


def load_bundle(stage: Stage) -> Bundle:
    """Read the bundle of a stage.

    Raises:
        CheckpointError: the bundle is damaged.
    """
    with stage.reading():
        return Bundle.load(stage.directory / BUNDLE)


def export_bundle(
    bundle: Bundle, stage: Stage, run: Run, figures: Mapping[str, float], *, encoder: tuple[Cvae, float]
) -> None:
    """Write a bundle with its model card and unselected samples into the folder of its stage, and log both to the run.

    Args:
        bundle: the bundle.
        stage: stage that made it.
        run: tracked run of the stage.
        figures: figures for the model card.
        encoder: CVAE whose encoder is written beside the bundle, and its `mu_scale`.
    """
    samples = unselected_samples(bundle, seed=1)
    with atomic_path(stage.directory / "samples.txt") as partial:
        partial.write_text("\n".join(samples) + "\n", encoding="utf-8")
    save_bundle(bundle, stage.directory / BUNDLE, figures=figures, samples=samples, encoder=encoder)
    run.log_file(stage.directory / "samples.txt")
    run.log_file(stage.directory / BUNDLE / MODEL_CARD)
