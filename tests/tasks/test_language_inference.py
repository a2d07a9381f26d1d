"""Natural language inference by parts: prepared data against fairseq's reading, scores against a loop, training."""

from __future__ import annotations

import copy
import io
import json
import math
from pathlib import Path

import fairseq_cli.train
import numpy as np
import pandas as pd
import pytest
import torch
import verses
from fairseq.data import Dictionary
from torch.nn.functional import cross_entropy

from headprune import removal
from headprune.data import check_prepared, decode
from headprune.data.lengths import Bound
from headprune.evaluation.likelihood import perplexity
from headprune.heads import HeadSpace
from headprune.models import compat, native
from headprune.results.outputs import file_name
from headprune.settings import Calibration, Evaluation, Speed
from headprune.tasks import TASKS
from headprune.tasks.nli.corpora import judged_corpus, read_judged
from headprune.tasks.nli.corpus import ExampleCorpus
from headprune.tasks.nli.evaluation import judgements
from headprune.tasks.nli.recipe import JudgedRecipe
from headprune.tasks.nli.sections import ExampleTraining, RobertaArchitecture
from headprune.training.arguments import GateRun, gate_arguments
from headprune.training.trainer import Trained, configuration, train

ARCHITECTURE = RobertaArchitecture(width=16, feed_forward=16, layers=2, heads=2, positions=96, dropout=0.1)
TRAINING = ExampleTraining(updates=6, batch_size=8, learning_rate=0.003, warmup=2, schedule="linear")
PLAIN = TRAINING.model_copy(update={"steps": "fairseq"})
WORK = TASKS["nli"].work
RECIPE = JudgedRecipe(vocabulary=250)
SETTINGS = Evaluation(max_tokens=400)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return verses.write(tmp_path_factory.mktemp("verses") / "own")


@pytest.fixture(scope="module")
def corpus(own: Path, tmp_path_factory: pytest.TempPathFactory) -> ExampleCorpus:
    folder = tmp_path_factory.mktemp("prepared") / "verses"
    RECIPE.prepare(judged_corpus(own), folder)
    return ExampleCorpus(folder)


@pytest.fixture(scope="module")
def trained(corpus: ExampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    argv = WORK.arguments(corpus, ARCHITECTURE, TRAINING)
    return train(argv, tmp_path_factory.mktemp("run") / "ours", seed=3, checkpoint_every=3)


def test_examples_are_put_together_as_robertas_are(own: Path, corpus: ExampleCorpus) -> None:
    """`<s> premise </s></s> hypothesis </s>`, cut and numbered by hand, with the label's place in the alphabet."""
    words = Dictionary.load(str(corpus.binarised / "input0" / "dict.txt"))
    labels = ["contradiction", "entailment", "neutral"]
    assert corpus.labels == labels
    examples = read_judged(judged_corpus(own), "valid")
    dataset = corpus.dataset("valid", 512)
    for number, example in enumerate(examples):
        tokens = dataset[number]["net_input.src_tokens"].tolist()
        ends = [place for place, token in enumerate(tokens) if token == words.eos()]
        assert tokens[0] == words.bos() and len(ends) == 3 and ends[1] == ends[0] + 1 and ends[2] == len(tokens) - 1
        sides = tokens[1 : ends[0]], tokens[ends[1] + 1 : -1]
        known = [decode(words.string(torch.tensor(side))) for side in sides]
        if words.unk() not in tokens:
            assert known == [example.premise, example.hypothesis]
        assert labels[int(dataset[number]["target"])] == example.label
        assert len(tokens) == corpus.lengths("valid", 512)[number]


def test_statistics_are_those_of_the_text(own: Path, corpus: ExampleCorpus) -> None:
    for split, size in verses.SIZES.items():
        counts, lengths = corpus.statistics["splits"][split], corpus.lengths(split, 512)
        examples = read_judged(judged_corpus(own), split)
        assert counts["examples"] == size == sum(counts["labels"].values())
        assert counts["tokens"] == lengths.sum()
        assert counts["longest"] == {"tokens": lengths.max(), "example": int(lengths.argmax()) + 1}
        assert counts["words"] == sum(len(f"{one} {two}".split()) for one, two, _ in examples)
    assert corpus.statistics["splits"]["train"]["unknown_tokens"] == 0
    assert corpus.statistics["vocabulary"] == len(Dictionary.load(str(corpus.binarised / "input0" / "dict.txt")))


def test_equal_inputs_give_equal_bytes_and_the_test_set_changes_nothing_else(own: Path, tmp_path: Path) -> None:
    changed = verses.write(tmp_path / "changed")
    (changed / "test.tsv").write_text("Nothing.\tEverything.\tneutral\n", encoding="utf-8")
    for name, source in (("one", own), ("two", own), ("three", changed)):
        RECIPE.prepare(judged_corpus(source), tmp_path / name)
    files = [p.relative_to(tmp_path / "one") for p in sorted((tmp_path / "one").rglob("*")) if p.is_file()]
    assert len(files) > 15
    for path in files:
        one, two, three = ((tmp_path / name / path).read_bytes() for name in ("one", "two", "three"))
        assert one == two
        if "test" not in path.name and path.name != "statistics.json":
            assert one == three, path
    told = [json.loads((tmp_path / name / "statistics.json").read_text(encoding="utf-8")) for name in ("one", "three")]
    assert told[0]["sha256"]["train+valid"] == told[1]["sha256"]["train+valid"]
    assert told[0]["sha256"]["test"] != told[1]["sha256"]["test"]


def test_pairs_longer_than_a_batch_are_an_error_before_any_training(own: Path, corpus: ExampleCorpus) -> None:
    bounds = {"valid": Bound(20, "evaluation.max_tokens")}
    message = r"valid.tsv, example \d+: \d+ subwords with the marks around them; at most 20 fit: evaluation.max_tokens"
    with pytest.raises(ValueError, match=message):
        check_prepared(judged_corpus(own), RECIPE, corpus.folder, bounds)
    check_prepared(judged_corpus(own), RECIPE, corpus.folder, {"valid": Bound(512, "")})
    model = TASKS["nli"].model.model_construct(architecture=ARCHITECTURE)
    few, many = ({"max_tokens": n} for n in (50, 4000))
    asked = TASKS["nli"].bounds({"m": model}, Evaluation(**few), Calibration(**many), Speed())
    assert {split: bound.tokens for split, bound in asked.items()} == {"valid": 50, "test": 50}


def test_longer_pairs_lose_their_end(corpus: ExampleCorpus) -> None:
    whole, cut = corpus.dataset("valid", 512), corpus.dataset("valid", 20)
    for number in range(len(whole)):
        expected = whole[number]["net_input.src_tokens"][:20]
        assert torch.equal(cut[number]["net_input.src_tokens"], expected)
    assert corpus.lengths("valid", 20).max() == 20
    longest = corpus.lengths("valid", 512).max()
    assert corpus.shortened("valid", 20) == sum(len(each["net_input.src_tokens"]) > 20 for each in whole) > 0
    assert (corpus.shortened("valid", longest), corpus.shortened("valid", longest - 1) > 0) == (0, True)


def test_every_example_is_in_one_batch(corpus: ExampleCorpus) -> None:
    batches = corpus.batches("test", 96, 400)
    ids = torch.cat([batch["id"] for batch in batches]).tolist()
    assert sorted(ids) == list(range(verses.SIZES["test"]))
    assert all(batch["net_input"]["src_tokens"].numel() <= 400 for batch in batches)
    assert all(batch["target"].shape == batch["id"].shape == (batch["ntokens"],) for batch in batches)
    with pytest.raises(ValueError, match="an example of 96 tokens exceeds max_tokens = 50"):
        corpus.batches("train", 96, 50)


def test_the_test_set_is_sealed(corpus: ExampleCorpus) -> None:
    sealed = ExampleCorpus(corpus.folder, sealed=True)
    for read in (sealed.dataset, sealed.lengths, lambda split, n: sealed.batches(split, n, 400)):
        assert len(read("valid", 96))
        with pytest.raises(ValueError, match="the test set is sealed"):
            read("test", 96)


def test_calibration_is_the_same_for_all_methods_of_a_seed(corpus: ExampleCorpus) -> None:
    def drawn_of(seed: int) -> list[int]:
        batches = WORK.calibration(corpus, ARCHITECTURE, Calibration(sentences=20), seed)
        return sorted(number for batch in batches for number in batch["id"].tolist())

    drawn = [drawn_of(seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 20


def test_accuracy_is_that_of_a_loop_over_single_examples(corpus: ExampleCorpus, trained: Trained) -> None:
    outcome = WORK.evaluate(trained.model, corpus, "test", SETTINGS)
    dataset, right = corpus.dataset("test", 96), []
    for number in range(len(dataset)):
        with torch.no_grad():
            logits = trained.model(dataset[number]["net_input.src_tokens"].unsqueeze(0))[0]
        right.append(int(logits.argmax()) == int(dataset[number]["target"]))
    assert outcome.scores["accuracy"].value == pytest.approx(np.mean(right))
    shortened = corpus.shortened("test", ARCHITECTURE.positions)
    assert 0 < shortened < len(right)
    assert outcome.scores["accuracy"].signature == f"examples:{len(right)}|labels:3|shortened:{shortened}"
    table = pd.read_parquet(io.BytesIO(outcome.segments[file_name("labels", "test")]))
    assert (table["label"] == table["predicted"]).tolist() == right
    assert table["segment"].tolist() == list(range(len(dataset)))
    assert set(table["label"]) <= set(corpus.labels)


def test_masked_and_removed_agree(corpus: ExampleCorpus, trained: Trained) -> None:
    """The perplexity is that of labels: exp of the mean negative log-probability, by torch's own loss."""
    mask = HeadSpace.of(trained.model).keep([0, 3])
    pruned = removal.remove_heads(trained.model, mask)
    found = WORK.agreement(trained.model, mask, pruned, corpus, SETTINGS)
    assert found.max_abs < 1e-5
    batches = WORK.validation(corpus, ARCHITECTURE, SETTINGS)
    with torch.no_grad():
        outputs = [(pruned(**batch["net_input"])[0].double(), batch["target"]) for batch in batches]
    losses = [cross_entropy(logits, target, reduction="none") for logits, target in outputs]
    assert found.perplexity == pytest.approx(math.exp(torch.cat(losses).mean()), rel=1e-6)
    other = removal.remove_heads(trained.model, HeadSpace.of(trained.model).keep([1, 2]))
    assert WORK.agreement(trained.model, mask, other, corpus, SETTINGS).max_abs > 1e-5


def test_models_are_compared_by_the_exact_test(corpus: ExampleCorpus, trained: Trained) -> None:
    models = [
        ("whole", trained.model),
        ("none", removal.remove_heads(trained.model, HeadSpace.of(trained.model).keep([]))),
    ]
    found = WORK.compare(iter(models), corpus, SETTINGS, 100)
    tables = [judgements(model, corpus, "valid", 400) for _, model in models]
    assert [found[name].score for name, _ in models] == [(t["label"] == t["predicted"]).mean() for t in tables]
    assert found["whole"].p_value is None and 0 < found["none"].p_value <= 1


def test_times_are_those_of_all_models(corpus: ExampleCorpus, trained: Trained) -> None:
    speed = Speed(sentences=2, batch_size=4, repeats=1, most_repeats=1)
    found = WORK.time({"a": trained.model, "b": trained.model}, corpus, speed, SETTINGS)
    assert set(found) == {"a", "b"}
    assert all(latency.median > 0 and throughput.median > 0 for latency, throughput in found.values())
    assert WORK.time({}, corpus, speed, SETTINGS) == {}


def test_multiply_accumulates_are_per_token_that_is_read(corpus: ExampleCorpus, trained: Trained) -> None:
    """Per layer 4 · d² + 2 · d · F and 2 · n · d for a token, and the classification head for the example."""
    n, d, f = min(96, round(corpus.statistics["splits"]["valid"]["mean_tokens"])), 16, 16
    expected = 2 * (4 * d * d + 2 * d * f + 2 * n * d) + (d * d + 3 * d) / n
    assert WORK.macs_per_token(trained.model, corpus) == pytest.approx(expected)


@pytest.fixture(scope="module")
def plainly_trained(corpus: ExampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    argv = WORK.arguments(corpus, ARCHITECTURE, PLAIN)
    return train(argv, tmp_path_factory.mktemp("run") / "plain", seed=3, checkpoint_every=3)


def test_training_is_that_of_stock_fairseq_bit_for_bit(
    corpus: ExampleCorpus, plainly_trained: Trained, tmp_path: Path
) -> None:
    """The same weights, so the same accuracy on both sets."""
    argv = WORK.arguments(corpus, ARCHITECTURE, PLAIN)
    for own, theirs in (
        ("headprune_roberta", "roberta"),
        ("gated_adam", "adam"),
        ("gated_sentence_prediction", "sentence_prediction"),
    ):
        argv[argv.index(own)] = theirs
    argv += ["--save-dir", str(tmp_path), "--seed", "3", "--no-epoch-checkpoints", "--num-workers", "0"]
    compat.reset_process_state()
    fairseq_cli.train.main(configuration([*argv, "--save-interval-updates", "3", "--keep-interval-updates", "1"]))
    state = torch.load(tmp_path / "checkpoint_best.pt", weights_only=True)["model"]
    ours = plainly_trained.model.state_dict()
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[name], state[name]) for name in state)


def test_fast_training_differs_by_rounding(
    corpus: ExampleCorpus, plainly_trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of validation within 1e-4, with the masks of dropout that fairseq draws."""
    monkeypatch.setattr(native.dropout, "available", lambda x: False)
    trained = train(WORK.arguments(corpus, ARCHITECTURE, TRAINING), tmp_path, seed=3, checkpoint_every=3)
    assert trained.model.encoder.sentence_encoder.lean and not plainly_trained.model.encoder.sentence_encoder.lean
    assert trained.terms == plainly_trained.terms
    for one, other in zip(trained.curve, plainly_trained.curve, strict=True):
        assert one["update"] == other["update"]
        assert one["nll_loss"] == pytest.approx(other["nll_loss"], rel=1e-4)


@pytest.mark.parametrize("pipelined", [False, True], ids=["joint", "pipelined"])
def test_gates_are_trained_and_keep_exactly_their_budget(
    corpus: ExampleCorpus, trained: Trained, tmp_path: Path, pipelined: bool
) -> None:
    run = GateRun("dsp", {"cooldown": 0.5}, 1, 7, 0.5, 3, pipelined)
    argv = [*WORK.arguments(corpus, ARCHITECTURE, TRAINING), *gate_arguments(run, TRAINING.updates)]
    removal.save(trained.model, tmp_path / "start.pt")
    found = train(argv, tmp_path / "run", 3, tmp_path / "start.pt" if pipelined else None, 3)
    assert found.mask is not None and found.mask.count == 1
    same = [torch.equal(a, b) for a, b in zip(found.model.parameters(), trained.model.parameters(), strict=True)]
    assert all(same) is pipelined
    assert found.gates is not None and any(parameter.abs().max() > 0 for parameter in found.gates.parameters())


def test_the_loss_of_a_training_is_in_bits_per_label(trained: Trained, corpus: ExampleCorpus) -> None:
    """The least loss of a validation is that of the model that was chosen, to the three digits of the log."""
    bits = math.log2(perplexity(trained.model, WORK.validation(corpus, ARCHITECTURE, SETTINGS)))
    valid = [point for point in trained.curve if point["split"] == "valid"]
    assert min(point["nll_loss"] for point in valid) == pytest.approx(bits, abs=6e-4)
    assert all(point["loss"] == point["nll_loss"] for point in valid)


def test_a_logit_that_is_not_a_number_is_no_judgement(corpus: ExampleCorpus, trained: Trained) -> None:
    """`argmax` takes NaN for the largest, so that the model would seem to choose that label."""
    model = copy.deepcopy(trained.model)
    (bias,) = (value for name, value in model.named_parameters() if name.endswith("out_proj.bias") and len(value) == 3)
    with torch.no_grad():
        bias[1] = float("nan")
    for split in ("valid", "test"):
        with pytest.raises(ValueError, match=r"\d+ of \d+ logits are NaN"):
            WORK.evaluate(model, corpus, split, SETTINGS)
    with pytest.raises(ValueError, match=r"\d+ of \d+ logits are NaN"):
        WORK.compare([("whole", trained.model), ("broken", model)], corpus, SETTINGS, 100)
