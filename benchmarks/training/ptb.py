"""Benchmark on Penn Treebank: train and score as in the published tables, and compare with their rows.

Shapes: D sentences, B rows, T steps.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from rich.table import Table

from benchmarks.training.treebank import Treebank
from training.cvae.batches import EncodedSentences, PlainSentences
from training.cvae.held_out import save_held_out
from training.cvae.likelihood import importance_weighted_nll
from training.cvae.model import Cvae
from training.cvae.scores import MIXTURE_SIZE, score_cvae
from training.cvae.training import train_cvae
from training.errors import CheckpointError
from training.progress import Progress
from training.settings import CvaeSettings
from training.tracking.port import NullTracker


@dataclass(frozen=True, slots=True, kw_only=True)
class PtbRow:
    """Scores of a model on the test split, in nats per sentence; perplexity is per token, including end tokens."""

    model: str
    ppl: float
    neg_elbo: float
    kl: float | None = None
    rec: float | None = None
    mi: float | None = None
    au: int | None = None


# As reported by Bowman 2016, Fu 2019, He 2019 and Li 2019, all with this split and these sizes.
PUBLISHED: Final = (
    PtbRow(model="LSTM language model", ppl=100.5, neg_elbo=101.0),
    PtbRow(model="VAE, annealed", ppl=101.4, neg_elbo=101.3, kl=0.0, rec=101.3, mi=0.0, au=0),
    PtbRow(model="cyclical annealing", ppl=108.8, neg_elbo=102.8, kl=1.4, rec=101.4, mi=1.3, au=5),
    PtbRow(model="aggressive inference", ppl=99.8, neg_elbo=101.2, kl=0.9, rec=100.3, mi=0.8, au=4),
    PtbRow(model="autoencoder start, free bits", ppl=96.9, neg_elbo=102.4, kl=6.5, rec=95.9, mi=5.3, au=32),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PtbPlan:
    """Folder, settings and amount of work."""

    folder: Path
    """Folder of the checkpoint and of the scores so far."""
    settings: CvaeSettings
    seed: int = 7
    num_samples: int = 500
    budget_s: float | None = None
    trained: Path | None = None
    """Checkpoint or file of weights to score; by default a model is trained."""
    device: str = "cpu"
    bf16: bool = False

    def quick(self) -> PtbPlan:
        """Return a plan that takes seconds."""
        settings = replace(self.settings, embedding_size=32, hidden_size=32, sampled_vocabulary=500, epochs=2)
        return replace(self, folder=self.folder / "quick", settings=settings, num_samples=min(self.num_samples, 10))


def quick_treebank(treebank: Treebank) -> Treebank:
    """Return a Treebank of the first sentences of each split."""
    return replace(
        treebank,
        train=_first(treebank.train, 640),
        valid=_first(treebank.valid, 64),
        test=_first(treebank.test, 32),
    )


def _first(sentences: EncodedSentences, count: int) -> EncodedSentences:
    batch = sentences.batch(range(min(count, len(sentences))))
    ids = [batch.tokens_TB[: length - 1, column].tolist() for column, length in enumerate(batch.lengths_B.tolist())]
    share = len(ids) / len(sentences)
    return PlainSentences(ids, num_characters=round(sentences.num_characters * share))


def bench_ptb(treebank: Treebank, plan: PtbPlan, watch: Callable[[str], Progress]) -> dict[str, float]:
    """Train a model or load a trained one, and score it on the test split.

    Returns:
        ppl, kl, mi, au, neg_elbo and the figures that they are computed from.

    Raises:
        CheckpointError: the model to score or to continue cannot be read, or has other sizes.
        NotLearnedError: the loss is not finite any more.
    """
    model = _trained(treebank, plan) if plan.trained is not None else _train(treebank, plan, watch("training"))
    model = model.to(plan.device).eval()
    scores = score_cvae(model, treebank.test, batch_size=plan.settings.batch_size, device=plan.device)
    nll_D = importance_weighted_nll(
        model,
        treebank.test,
        num_samples=plan.num_samples,
        device=plan.device,
        progress=watch("likelihood"),
        folder=plan.folder,
    )
    return {
        "ppl": math.exp(nll_D.sum() / treebank.test.num_tokens),
        "neg_elbo": -scores.elbo,
        "kl": scores.kl,
        "rec": -scores.reconstruction,
        "mi": scores.mutual_information,
        "au": scores.active_units,
        "nll": float(nll_D.mean()),
        "samples": plan.num_samples,
        "mi_mixture_size": min(MIXTURE_SIZE, len(treebank.test)),
        "sentences": len(treebank.test),
        "tokens": treebank.test.num_tokens,
    }


def _model(treebank: Treebank, settings: CvaeSettings) -> Cvae:
    return Cvae(treebank.config(settings), encoder_size=settings.encoder_size, mu_scale=settings.mu_scale)


def _train(treebank: Treebank, plan: PtbPlan, progress: Progress) -> Cvae:
    with NullTracker().run("ptb") as run:
        trained = train_cvae(
            treebank.config(plan.settings),
            plan.settings,
            treebank.train,
            treebank.valid,
            seed=plan.seed,
            checkpoint=plan.folder / "checkpoint.pt",
            run=run,
            progress=progress,
            budget_s=plan.budget_s,
            device=plan.device,
            bf16=plan.bf16,
        )
    save_held_out(trained.held_out, plan.folder)
    return trained.model


def _trained(treebank: Treebank, plan: PtbPlan) -> Cvae:
    """Load the model of a checkpoint or of a file of weights."""
    model, path = _model(treebank, plan.settings), plan.trained
    assert path is not None  # noqa: S101 - the caller's condition
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        model.load_state_dict(state.get("model", state))
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, AttributeError) as cause:
        reason = str(cause).partition("\n")[0]
        raise CheckpointError(
            f"{path} cannot be scored ({type(cause).__name__}: {reason}); give a checkpoint or weights of a "
            "training on this Treebank with the same --set"
        ) from cause
    return model


def ptb_table(figures: dict[str, float]) -> Table:
    """Make a table of the published rows and ours."""
    ours = PtbRow(
        model="deephypebot",
        ppl=figures["ppl"],
        neg_elbo=figures["neg_elbo"],
        kl=figures["kl"],
        rec=figures["rec"],
        mi=figures["mi"],
        au=int(figures["au"]),
    )
    title = (
        f"Penn Treebank, test split: perplexity by {figures['samples']:.0f} importance samples; MI of a mixture of "
        f"{figures['mi_mixture_size']:.0f} (at most {math.log(max(figures['mi_mixture_size'], 1)):.1f} nats)"
    )
    table = Table(title=title, title_justify="left")
    for heading in ("model", "PPL", "-ELBO", "KL", "Rec", "MI", "AU"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in (*PUBLISHED, ours):
        cells = [f"{row.ppl:.1f}", f"{row.neg_elbo:.1f}", *(_or_blank(each) for each in (row.kl, row.rec, row.mi))]
        table.add_row(row.model, *cells, "" if row.au is None else str(row.au), style="bold" if row is ours else "")
    return table


def _or_blank(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
