"""Hypotheses and scores, against fairseq's and sacrebleu's own command lines."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch

import headprune
from headprune import cost, removal
from headprune.config import Architecture, Evaluation, Training
from headprune.evaluation.likelihood import perplexity
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadSpace
from headprune.models.beam import BeamRules, FastBeamSearch, PlainBeamSearch, beam_search
from headprune.settings import Speed
from headprune.tasks import TASKS
from headprune.tasks.translation import evaluation, metrics
from headprune.tasks.translation.arguments import arguments
from headprune.training.trainer import train

REFERENCES = [f"the house number {i} stands near the old river and the bridge" for i in range(30)]
GOOD = [line.replace("near", "by") if i % 3 == 0 else line for i, line in enumerate(REFERENCES)]
BAD = [" ".join([*line.split()[:5], "is", "there"]) for line in REFERENCES]
KINDS = ("fast", "fairseq")
SETTINGS = Evaluation(beam=3, max_len_a=0.5, max_len_b=6)


@pytest.fixture(scope="module")
def model(prepared, tmp_path_factory):
    """Trained long enough to prefer some words to others."""
    architecture = Architecture(width=32, feed_forward=32, encoder_layers=2, decoder_layers=2, heads=2, dropout=0.0)
    training = Training(updates=60, max_tokens=400, learning_rate=0.01, warmup=10, schedule="linear")
    argv = arguments(prepared.binarised, prepared.pair, architecture, training)
    return train(argv, tmp_path_factory.mktemp("model") / "run", seed=1).model


def test_every_sentence_is_translated_once_in_corpus_order(prepared, model):
    hypotheses = evaluation.translate(model, prepared, "valid", SETTINGS)
    assert len(hypotheses) == len(prepared.references("valid")) == 463
    one = evaluation.generate(model, prepared, prepared.batches("valid", 4000, [17]), SETTINGS)
    assert one[17] == hypotheses[17]


@pytest.mark.parametrize("max_tokens", [301, 977, 10_000])
def test_batches_hold_every_sentence_whatever_their_size(prepared, max_tokens):
    found = np.concatenate([batch["id"].numpy() for batch in prepared.batches("test", max_tokens)])
    assert sorted(found) == list(range(1047))


def test_a_sentence_too_long_for_a_batch_is_an_error(prepared):
    with pytest.raises(ValueError, match="exceeds max_tokens = 5"):
        prepared.batches("valid", 5)


def test_beam_search_leaves_the_model_as_it_was(prepared, model):
    (batch,) = prepared.batches("valid", 4000, range(6))
    before = model(**batch["net_input"])[0]
    evaluation.generate(model, prepared, [batch], SETTINGS)
    assert torch.equal(model(**batch["net_input"])[0], before)


@pytest.mark.parametrize("kept", [12, 6, 2])
def test_both_searches_find_the_same_hypotheses(prepared, model, kept):
    """A trained model in single precision, whole, masked and with heads removed: every hypothesis of the beam has the
    same tokens, and scores within 1e-4."""
    space = HeadSpace.of(model)
    mask = space.keep(np.random.default_rng(kept).permutation(len(space))[:kept].tolist())
    batches, rules = prepared.batches("valid", 2000, range(120)), BeamRules(5, max_len_a=1.2, max_len_b=10)
    set_mask(model, mask)
    try:
        for searched in (model, removal.remove_heads(model, mask)):
            set_mask(model, mask)
            for batch in batches:
                fast, plain = (beam_search(searched, prepared.task, rules, kind)(batch) for kind in KINDS)
                assert [[h["tokens"].tolist() for h in own] for own in fast] == [
                    [h["tokens"].tolist() for h in own] for own in plain
                ]
                scores = [[[float(h["score"]) for own in found for h in own]] for found in (fast, plain)]
                np.testing.assert_allclose(*scores, rtol=0, atol=1e-4)
    finally:
        clear_mask(model)


def test_the_profile_says_which_search(prepared, model, monkeypatch):
    """For hypotheses and for the measurement of speed."""
    seen = []

    def recorded(model, task, rules, kind):
        seen.append((type(found := beam_search(model, task, rules, kind)), rules.min_len))
        return found

    for module in (evaluation, cost):
        monkeypatch.setattr(module, "beam_search", recorded)
    first = prepared.batches("valid", 4000, range(20))
    texts = [
        evaluation.generate(model, prepared, first, SETTINGS.model_copy(update={"search": kind})) for kind in KINDS
    ]
    assert texts[0] == texts[1]
    assert seen == [(FastBeamSearch, 1), (PlainBeamSearch, 1)]
    seen.clear()
    speed, slow = Speed(sentences=1, batch_size=2, repeats=1), SETTINGS.model_copy(update={"search": "fairseq"})
    found = TASKS["mt"].work.time({"whole": model}, prepared, speed, slow)
    assert {kind for kind, _ in seen} == {PlainBeamSearch}
    assert all(length > 1 for _, length in seen)
    assert all(timing.median > 0 for timing in found["whole"])


def test_fairseq_generate_reads_a_pruned_checkpoint_and_translates_alike(prepared, model, tmp_path):
    space = HeadSpace.of(model)
    kept = [i for i, head in enumerate(space) if head.module not in ("cross.0", "decoder.1") and head.index == 0]
    pruned = removal.remove_heads(model, space.keep(kept))
    removal.save(pruned, tmp_path / "pruned.pt")
    ours = evaluation.translate(pruned, prepared, "valid", SETTINGS)
    asked = [sys.executable, "-m", "headprune", "user-dir"]
    package = subprocess.run(asked, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    assert package == str(Path(headprune.__file__).parent)
    command = [str(Path(sys.executable).parent / "fairseq-generate"), str(prepared.binarised), "--user-dir", package]
    command += ["--path", str(tmp_path / "pruned.pt"), "--gen-subset", "valid", "--required-batch-size-multiple", "1"]
    command += ["--beam", "3", "--max-len-a", "0.5", "--max-len-b", "6", "--post-process", "sentencepiece"]
    command += ["--max-tokens", "4000", "--source-lang", "de", "--target-lang", "en", "--cpu"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout  # from elsewhere
    theirs = {int(n): text for n, text in re.findall(r"^H-(\d+)\t\S+\t(.*)$", output, re.MULTILINE)}
    assert len(theirs) == 463
    assert [" ".join(theirs[i].replace("<<unk>>", "<unk>").split()) for i in range(463)] == [
        h.replace("<<unk>>", "<unk>") for h in ours
    ]


def test_fairseq_generate_says_why_there_are_no_alignments(prepared, model, tmp_path):
    space = HeadSpace.of(model)
    kept = [i for i, head in enumerate(space) if head.module != "cross.1"]
    removal.save(removal.remove_heads(model, space.keep(kept)), tmp_path / "pruned.pt")
    package = str(Path(headprune.__file__).parent)
    command = [str(Path(sys.executable).parent / "fairseq-generate"), str(prepared.binarised), "--user-dir", package]
    command += ["--path", str(tmp_path / "pruned.pt"), "--gen-subset", "valid", "--cpu", "--print-alignment", "hard"]
    command += ["--source-lang", "de", "--target-lang", "en"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: no alignments from HeadpruneTransformer: they are read off cross.1")


def test_bleu_is_that_of_the_sacrebleu_command_line(prepared, model, tmp_path):
    outcome = TASKS["mt"].work.evaluate(model, prepared, "test", SETTINGS)
    (tmp_path / "h.txt").write_bytes(gzip.decompress(outcome.segments["hypotheses.test.txt.gz"]))
    reference = prepared.folder / "raw" / "test.tgt"
    command = [sys.executable, "-m", "sacrebleu", str(reference), "-i", str(tmp_path / "h.txt"), "-w", "10"]
    for metric in ("bleu", "chrf"):
        printed = subprocess.run([*command, "-m", metric, "-b"], capture_output=True, text=True, check=True).stdout
        assert f"{outcome.scores[metric].value:.10f}" == printed.strip()


def test_tokenised_bleu_says_how_it_was_made():
    score = metrics.bleu_tokenized_lower(["The Cat's here ."], ["the cat's here."], "en")
    assert score.value == pytest.approx(100)
    assert "tok:moses-en" in score.signature
    assert "case:lc" in score.signature


def test_hypotheses_and_references_must_be_as_many():
    with pytest.raises(ValueError, match="2 hypotheses for 1 references"):
        metrics.bleu(["a", "b"], ["a"])


def test_perplexity_is_fairseqs(prepared, model):
    from fairseq.criterions.cross_entropy import CrossEntropyCriterion

    criterion = CrossEntropyCriterion(prepared.task, sentence_avg=False)
    batches = prepared.batches("valid", 700)
    losses = [criterion(model.eval(), batch) for batch in batches]
    nats = sum(float(loss) for loss, _, _ in losses) / sum(size for _, size, _ in losses)
    assert perplexity(model, batches) == pytest.approx(np.exp(nats), rel=1e-6)


@pytest.mark.parametrize("kept", [0, 1, 5, 11, 12])
def test_masked_and_removed_agree(prepared, model, kept):
    space = HeadSpace.of(model)
    mask = space.keep(np.random.default_rng(kept).permutation(len(space))[:kept].tolist())
    pruned = removal.remove_heads(model, mask)
    batches = prepared.batches("valid", 4000)
    found = evaluation.agreement(model, mask, pruned, prepared, batches, SETTINGS)
    assert found.perplexity == pytest.approx(perplexity(pruned, batches), rel=1e-6)
    assert found.max_abs < 1e-5
    assert found.hypotheses_different == 0
    assert found.hypotheses_compared == SETTINGS.checked_sentences


def test_p_values_are_those_of_sacrebleus_command_line(tmp_path: Path) -> None:
    """Its randomisation draws other swaps, and there are no ties here: within 4 standard errors of both."""
    for name, lines in (("ref", REFERENCES), ("base", REFERENCES[:20] + BAD[20:]), ("good", GOOD)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "base", "good", "--paired-ar", "--paired-ar-n", "2000"]
    done = subprocess.run(
        [*command, "--format", "json"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    found = metrics.bleu_against_first({"": REFERENCES[:20] + BAD[20:], "good": GOOD}, REFERENCES, 2000)
    (expected,) = map(float, re.findall(r'"p_value": ([\d.e-]+)', done.stdout))
    error = np.sqrt(2 * max(expected, 0.001) / 2000)
    assert found["good"].p_value == pytest.approx(expected, abs=4 * error)
    assert found["good"].score == pytest.approx(metrics.bleu(GOOD, REFERENCES).value)


def test_tokens_are_scored_as_they_are() -> None:
    """sacrebleu's own tokeniser would part the full stop from its word."""
    references, good = [f"{line}." for line in REFERENCES], [f"{line} ." for line in GOOD]
    found = metrics.bleu_against_first({"": good, "other": BAD}, references, 200, tokens=True)
    expected = sacrebleu.corpus_bleu(good, [references], tokenize="none", force=True).score
    assert found[""].score == pytest.approx(expected, abs=1e-9)
    assert found[""].score < metrics.bleu(good, references).value - 1
    assert found["other"].p_value == pytest.approx(1 / 201)


def test_identical_outputs_are_never_significant() -> None:
    found = metrics.bleu_against_first({"": GOOD, "same": list(GOOD), "other": BAD}, REFERENCES, 200)
    assert found[""].p_value is None
    assert found["same"].p_value == 1
    assert found["other"].p_value == pytest.approx(1 / 201)
