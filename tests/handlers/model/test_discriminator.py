from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from handlers.model.bundle import WEIGHTS, Bundle, BundleError
from handlers.model.discriminator import Discriminator, DiscriminatorConfig, DiscriminatorNetwork
from handlers.model.vocabulary import BOS_ID, EOS_ID, PAD_ID
from tests.handlers.tiny_bundles import tiny_bundle

CONFIG = DiscriminatorConfig(vocabulary_size=68, embedding_size=10, num_filters=6, hidden_size=7)


def _discriminator(config: DiscriminatorConfig = CONFIG, *, seed: int = 0) -> Discriminator:
    torch.manual_seed(seed)
    return Discriminator(DiscriminatorNetwork(config))


def _sentences(count: int, *, longest: int = 40) -> list[list[int]]:
    random = np.random.default_rng(count)
    return [random.integers(4, CONFIG.vocabulary_size, random.integers(0, longest)).tolist() for _ in range(count)]


@pytest.mark.parametrize("sizes", [(6, 7), (64, 33)])
def test_a_value_is_the_same_alone_in_any_company_and_in_any_order(sizes: tuple[int, int]) -> None:
    num_filters, hidden_size = sizes
    config = dataclasses.replace(CONFIG, num_filters=num_filters, hidden_size=hidden_size)
    discriminator = _discriminator(config)
    sentences = _sentences(75)
    together = discriminator.logits(sentences)
    assert [discriminator.logits([sentence])[0] for sentence in sentences] == together
    order = np.random.default_rng(1).permutation(len(sentences))
    assert discriminator.logits([sentences[number] for number in order]) == [together[number] for number in order]
    assert discriminator.logits(sentences[::3]) == together[::3]
    # A long neighbour means more padding.
    assert discriminator.logits([sentences[0], list(range(4, 64)) * 3])[0] == together[0]
    assert len(set(together)) > len(sentences) // 2


def test_the_values_are_those_of_the_network() -> None:
    discriminator = _discriminator()
    sentences = _sentences(20)
    tokens_BT = torch.full((len(sentences), 50), PAD_ID)
    for row, sentence in enumerate(sentences):
        tokens_BT[row, : len(sentence) + 2] = torch.tensor([BOS_ID, *sentence, EOS_ID])
    expected = discriminator.network(tokens_BT).tolist()
    assert discriminator.logits(sentences) == pytest.approx(expected, abs=1e-5)


def test_every_token_and_its_place_count() -> None:
    discriminator = _discriminator()
    sentence = [4, 9, 17, 30, 41, 8, 25]
    changed = [[*sentence[:place], 50, *sentence[place + 1 :]] for place in range(len(sentence))]
    values = discriminator.logits([sentence, *changed, sentence[::-1], sentence[:-1]])
    assert len(set(values)) == len(values)


def test_no_sentences_have_no_values_and_an_empty_one_has_one() -> None:
    assert _discriminator().logits([]) == []
    assert len(_discriminator().logits([[], [5]])) == 2


def test_a_token_beyond_the_vocabulary_is_an_error() -> None:
    with pytest.raises(IndexError):
        _discriminator().logits([[4, CONFIG.vocabulary_size]])


@pytest.mark.parametrize(
    "changes", [{"num_filters": 0}, {"hidden_size": 0}, {"widths": ()}, {"widths": (3, 2)}, {"widths": (0, 2)}]
)
def test_sizes_that_are_not_a_network_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("widths", [(2, 3, 4, 5), (1,), (2, 7)])
def test_a_bundle_keeps_its_discriminator_and_one_without_loads(tmp_path: Path, widths: tuple[int, ...]) -> None:
    discriminator = _discriminator(dataclasses.replace(CONFIG, widths=widths))
    bundle = dataclasses.replace(tiny_bundle(), discriminator=discriminator)
    for name, each in {"with": bundle, "without": tiny_bundle()}.items():
        (tmp_path / name).mkdir()
        each.save(tmp_path / name, model_card="card")
    loaded = Bundle.load(tmp_path / "with").discriminator
    assert loaded is not None
    assert loaded.network.config == discriminator.network.config
    assert loaded.logits(_sentences(9)) == discriminator.logits(_sentences(9))
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())
    assert Bundle.load(tmp_path / "without").discriminator is None


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("discriminator.token_embedding.weight", torch.zeros(60, 10)),
        ("discriminator.hidden.weight", torch.zeros(7, 7)),
        ("discriminator.output.bias", torch.full((1,), float("nan"))),
        ("discriminator.filters.3.bias", None),
        ("discriminator.token_embedding.weight", None),
        ("discriminator.another", torch.zeros(1)),
    ],
)
def test_a_bundle_whose_discriminator_does_not_fit_is_refused(
    tmp_path: Path, name: str, tensor: torch.Tensor | None
) -> None:
    dataclasses.replace(tiny_bundle(), discriminator=_discriminator()).save(tmp_path, model_card="card")
    tensors = {key: value.clone() for key, value in load_file(tmp_path / WEIGHTS).items()}
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(BundleError):
        Bundle.load(tmp_path)
