"""Reports of a stage: plots, tables and pages in its folder, logged to its run as well.

Shapes: K topics, W words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from training.cvae.held_out import HeldOutPoint
from training.files import write_json
from training.pipeline.stages import Stage
from training.plots import plot_coherence, plot_curves
from training.topics.lda import FittedTopics
from training.topics.page import write_topic_page
from training.tracking.curves import RecordingRun


def report_topics(fitted: FittedTopics, texts: Sequence[str], stage: Stage, run: RecordingRun) -> dict[str, float]:
    """Write coherence by number of topics, top words and the topic page; return the stage's figures."""
    chosen = len(fitted.model.names)
    plot_coherence(
        {number: trial.c_npmi for number, trial in fitted.trials.items()}, chosen, stage.directory / "coherence.png"
    )
    trials = {str(number): asdict(trial) for number, trial in fitted.trials.items()}
    write_json(stage.directory / "coherence.json", {"chosen": chosen, "trials": trials})
    write_json(stage.directory / "top_words.json", fitted.top_words)
    write_topic_page(fitted.model, fitted.word_shares_KW, texts, stage.directory / "topics.html")
    for name in ("coherence.png", "coherence.json", "top_words.json", "topics.html"):
        run.log_file(stage.directory / name)
    for number, trial in fitted.trials.items():
        run.log_metrics({f"topics.{name}": value for name, value in asdict(trial).items()}, step=number)
    trial = fitted.trials[chosen]
    return {
        "num_topics": chosen,
        "coherence": trial.c_npmi,
        "coherence_c_v": trial.c_v,
        "agreement": trial.agreement,
    }


def report_curves(held_out: Sequence[HeldOutPoint], stage: Stage, run: RecordingRun) -> None:
    """Plot loss and KL by step, and held-out scores over training time."""
    curves = {"train.nats_per_token": "nats per token", "train.kl": "KL, nats per sentence"}
    for name, label in curves.items():
        path = stage.directory / f"{name}.png"
        plot_curves({name: run.curve(name)}, path, title=f"CVAE: {name}", ylabel=label)
        run.log_file(path, "plots")
    bits = [(point.seconds / 60, point.bits_per_character) for point in held_out]
    path = stage.directory / "held_out.png"
    title, xlabel = "CVAE: held-out sentences", "minutes of training"
    plot_curves({"held out": bits}, path, title=title, xlabel=xlabel, ylabel="bits per character")
    run.log_file(path, "plots")


def report_discriminator(stage: Stage, run: RecordingRun) -> None:
    """Plot cross-entropy and area by epoch."""
    curves = {
        "nats": ("cross-entropy, nats", ("discriminator.train_nats", "discriminator.nats")),
        "auc": ("area under the ROC curve", ("discriminator.auc",)),
    }
    for name, (label, metrics) in curves.items():
        path = stage.directory / f"discriminator_{name}.png"
        points = {metric: run.curve(metric) for metric in metrics}
        plot_curves(points, path, title="Discriminator", ylabel=label, xlabel="epoch")
        run.log_file(path, "plots")
