"""Weights that trainings of models that judge begin with: of released checkpoints, and of masked words before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fairseq_cli.train
import pytest
import released_roberta
import torch
import verses
from fairseq.models.roberta import RobertaModel

from headprune import removal
from headprune.heads import HeadSpace
from headprune.models import compat
from headprune.models.masked_pairs import MaskedPairs
from headprune.tasks import TASKS
from headprune.tasks.nli.corpora import judged_corpus, read_judged
from headprune.tasks.nli.corpus import ExampleCorpus
from headprune.tasks.nli.recipe import JudgedRecipe
from headprune.tasks.nli.sections import ExampleTraining, RobertaArchitecture
from headprune.tasks.nli.trainings import Pretraining
from headprune.training.arguments import GateRun, gate_arguments
from headprune.training.trainer import Trained, configuration, train

ARCHITECTURE = RobertaArchitecture(**released_roberta.ARCHITECTURE)
TRAINING = ExampleTraining(updates=4, batch_size=8, learning_rate=0.003, warmup=2, schedule="linear")
PRETRAINING = Pretraining(updates=6, batch_size=8, learning_rate=0.003, warmup=2, schedule="linear")
WORK = TASKS["nli"].work


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released_roberta.write(tmp_path_factory.mktemp("released") / "roberta.tiny")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return verses.write(tmp_path_factory.mktemp("verses") / "own")


@pytest.fixture(scope="module")
def corpus(roberta: Path, own: Path, tmp_path_factory: pytest.TempPathFactory) -> ExampleCorpus:
    """In the subwords and the numbers of the released model."""
    folder = tmp_path_factory.mktemp("prepared") / "verses"
    JudgedRecipe(gpt2=roberta).prepare(judged_corpus(own), folder)
    return ExampleCorpus(folder)


@pytest.fixture(scope="module")
def start(roberta: Path, corpus: ExampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "start.pt"
    removal.save(WORK.begun(corpus, ARCHITECTURE, roberta / "model.pt"), path)
    return path


@pytest.fixture(scope="module")
def pretrained(corpus: ExampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    argv = WORK.pretraining_arguments(corpus, ARCHITECTURE, PRETRAINING)
    return train(argv, tmp_path_factory.mktemp("run") / "whole", seed=3, checkpoint_every=3)


def test_tokens_and_features_are_those_of_the_released_model(
    roberta: Path, own: Path, corpus: ExampleCorpus, start: Path
) -> None:
    """The same tokens as those of fairseq's own hub, and the same features, within 1e-6."""
    files = {
        f"gpt2_{name}": str(roberta / file)
        for name, file in (("encoder_json", "encoder.json"), ("vocab_bpe", "vocab.bpe"))
    }
    hub = RobertaModel.from_pretrained(str(roberta), "model.pt", bpe="gpt2", **files).eval()
    ours, dataset, whole = removal.load(start), corpus.dataset("valid", ARCHITECTURE.positions), 0
    for number, example in enumerate(read_judged(judged_corpus(own), "valid")):
        tokens = hub.encode(example.premise, example.hypothesis)
        found = dataset[number]["net_input.src_tokens"]
        assert torch.equal(found, tokens[: ARCHITECTURE.positions])
        whole += len(tokens) <= ARCHITECTURE.positions
        with torch.no_grad():
            features = ours(found[None], features_only=True)[0]
            torch.testing.assert_close(features, hub.extract_features(found), rtol=0, atol=1e-6)
    assert whole > 5
    assert corpus.statistics["splits"]["train"]["unknown_tokens"] == 0


def test_fine_tuning_is_that_of_stock_fairseq_bit_for_bit(corpus: ExampleCorpus, start: Path, tmp_path: Path) -> None:
    """`--finetune-from-model` of `sentence_prediction`, its head new: the same weights, so the same losses."""
    argv = WORK.arguments(corpus, ARCHITECTURE, TRAINING.model_copy(update={"steps": "fairseq"}))
    ours = train(argv, tmp_path / "ours", 3, start, checkpoint_every=2).model.state_dict()
    for own, theirs in (
        ("headprune_roberta", "roberta"),
        ("gated_adam", "adam"),
        ("gated_sentence_prediction", "sentence_prediction"),
    ):
        argv[argv.index(own)] = theirs
    argv += ["--save-dir", str(tmp_path / "stock"), "--seed", "3", "--no-epoch-checkpoints", "--num-workers", "0"]
    argv += ["--finetune-from-model", str(start), "--save-interval-updates", "2", "--keep-interval-updates", "1"]
    compat.reset_process_state()
    fairseq_cli.train.main(configuration(argv))
    state = torch.load(tmp_path / "stock" / "checkpoint_best.pt", weights_only=True)["model"]
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[name], state[name]) for name in state)


def test_every_training_of_a_seed_begins_alike(corpus: ExampleCorpus, start: Path, tmp_path: Path) -> None:
    """Joint gates too, and a pruned architecture with the weights of the heads that it has."""
    argv, run = WORK.arguments(corpus, ARCHITECTURE, TRAINING), GateRun("dsp", {"cooldown": 0.5}, 2, 7, 0.5, 2, False)
    plain = train(argv, tmp_path / "plain", 3, start, 2)
    joint = train([*argv, *gate_arguments(run, TRAINING.updates)], tmp_path / "joint", 3, start, 2)
    random = train(argv, tmp_path / "random", 3, None, 2)
    assert plain.terms == joint.terms != random.terms
    assert joint.mask is not None and joint.mask.count == 2


def test_sequences_of_masked_words_are_those_that_labels_are_learned_of(corpus: ExampleCorpus) -> None:
    cfg = configuration(WORK.pretraining_arguments(corpus, ARCHITECTURE, PRETRAINING))
    task = MaskedPairs.setup_task(cfg.task)
    read, labelled = task._load_dataset_split("train", 1, False), corpus.dataset("train", ARCHITECTURE.positions)
    assert len(read) == verses.SIZES["train"]
    for number in range(len(read)):
        assert torch.equal(read[number], labelled[number]["net_input.src_tokens"])


def test_words_are_masked_in_the_shares_that_are_asked_for(corpus: ExampleCorpus) -> None:
    """Within four standard deviations of a binomial distribution; a random subword may be the one that was there."""
    asked = Pretraining(updates=1, mask=0.3, random=0.2, unchanged=0.3)
    task = MaskedPairs.setup_task(configuration(WORK.pretraining_arguments(corpus, ARCHITECTURE, asked)).task)
    task.load_dataset("train")
    counts = {"tokens": 0, "targets": 0, "masked": 0, "same": 0}
    for item in (task.datasets["train"][number] for number in range(len(task.datasets["train"]))):
        shown, target = item["net_input.src_tokens"], item["target"]
        chosen = target != task.source_dictionary.pad()
        counts["tokens"] += len(target)
        counts["targets"] += int(chosen.sum())
        counts["masked"] += int((shown == task.mask_idx).sum())
        counts["same"] += int((shown == target)[chosen].sum())
    for part, whole, share in (("targets", "tokens", 0.3), ("masked", "targets", 0.5), ("same", "targets", 0.3)):
        deviation = (share * (1 - share) / counts[whole]) ** 0.5
        assert counts[part] / counts[whole] == pytest.approx(share, abs=4 * deviation + 0.005 * (part == "same"))


def test_a_killed_pretraining_ends_like_an_undisturbed_one(
    corpus: ExampleCorpus, pretrained: Trained, tmp_path: Path
) -> None:
    argv = WORK.pretraining_arguments(corpus, ARCHITECTURE, PRETRAINING)

    def kill(update: int, total: int, loss: float) -> None:
        if update >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(argv, tmp_path / "killed", 3, None, 1, on_progress=kill)
    assert (tmp_path / "killed" / "checkpoint_last.pt").exists()
    resumed = train(argv, tmp_path / "killed", 3, None, 3)
    assert resumed.terms == pretrained.terms
    ours, theirs = (trained.model.state_dict() for trained in (resumed, pretrained))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert all(point["loss"] == point["nll_loss"] for point in pretrained.curve)


def test_a_pretrained_model_has_no_label_and_gives_its_heads_to_a_pruned_one(
    pretrained: Trained, corpus: ExampleCorpus, tmp_path: Path
) -> None:
    """A training of the pruned architecture begins with the weights of its heads: one of rate 1e-30 leaves them."""
    mask = HeadSpace.of(pretrained.model).keep([1, 2])
    assert len(pretrained.model.classification_heads) == 0
    pruned = removal.remove_heads(pretrained.model, mask)
    removal.save(pruned, tmp_path / "start.pt")
    still = TRAINING.model_copy(update={"learning_rate": 1e-30})
    argv: list[Any] = [
        *WORK.arguments(corpus, ARCHITECTURE, still),
        "--keep-heads",
        '{"encoder.0": [1], "encoder.1": [0]}',
    ]
    found, expected = train(argv, tmp_path / "run", 3, tmp_path / "start.pt").model.state_dict(), pruned.state_dict()
    assert {name for name in found if name not in expected} == {name for name in found if "classification" in name}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-25)
