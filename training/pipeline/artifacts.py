"""What a stage keeps for the stages behind it, and for a training that finds it done: topics, CVAE, vocabulary."""

from __future__ import annotations

from typing import Final

import torch
from safetensors.torch import load_file, save

from handlers.model.bundle import VOCABULARY, Bundle
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import Vocabulary
from training.cvae.model import Cvae
from training.files import atomic_path, read_json, write_json
from training.pipeline.stages import Stage

BUNDLE: Final = "bundle"
_CVAE: Final = "cvae.safetensors"
_TOPICS: Final = "topics.safetensors"
_TOPIC_WORDS: Final = "topics.json"


def save_topics(model: TopicModel, stage: Stage) -> None:
    """Write a topic model into its stage's folder."""
    tensors: dict[str, torch.Tensor] = {"alpha": model.alpha_K, "exp_elog_beta": model.exp_elog_beta_KW.contiguous()}
    with atomic_path(stage.directory / _TOPICS) as partial:
        partial.write_bytes(save(tensors))
    write_json(stage.directory / _TOPIC_WORDS, {"words": model.words, "names": model.names, "desired": model.desired})


def load_topics(stage: Stage) -> TopicModel:
    """Read what `save_topics` wrote.

    Raises:
        CheckpointError: it is damaged.
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
    """Write a CVAE's weights into its stage's folder, the encoder's too."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(stage.directory / _CVAE) as partial:
        partial.write_bytes(save(tensors))


def restore_cvae(model: Cvae, stage: Stage) -> Cvae:
    """Give a model of the same sizes what `save_cvae` wrote, ready to be used.

    Raises:
        CheckpointError: it is damaged, or of other sizes.
    """
    with stage.reading():
        model.load_state_dict(load_file(stage.directory / _CVAE))
    return model.eval()


def kept_vocabulary(stage: Stage) -> Vocabulary | None:
    """The vocabulary that a finished CVAE was trained with, None where there is none yet.

    Learned anew, it might be another one: by another release of sentencepiece, say.

    Raises:
        CheckpointError: it is damaged.
    """
    if stage.result() is None:
        return None
    with stage.reading():
        return Vocabulary.load(stage.directory / BUNDLE / VOCABULARY)


def load_bundle(stage: Stage) -> Bundle:
    """The bundle that a stage made.

    Raises:
        CheckpointError: it is damaged.
    """
    with stage.reading():
        return Bundle.load(stage.directory / BUNDLE)
