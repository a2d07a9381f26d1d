"""`headprune prune`: what it writes, what a second call does, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import fairseq_cli.generate
import hypothesis
import pytest
import sacrebleu
import torch
from fairseq import options
from hypothesis import strategies as st
from typer.testing import CliRunner

import headprune
from headprune import removal
from headprune.amounts import heads_to_keep
from headprune.checkpoints import open_model
from headprune.cli.commands import app
from headprune.heads import HeadSpace
from headprune.method import load_methods
from headprune.own import rows
from headprune.own.materials import workpiece
from headprune.own.page import noise
from headprune.own.request import AS_GENERATE, PruningRequest, budget_of, options_of
from headprune.own.run import prune
from headprune.settings import Calibration
from headprune.tasks.translation import TRANSLATION
from headprune.timing import Timing
from tests.checkpoints.conftest import StockModel

Stock = Callable[[str], StockModel]


@pytest.fixture
def request_of(stock: Stock, tmp_path: Path) -> Callable[..., PruningRequest]:
    """`request_of(**changes)`: heads of the pre-norm model by magnitude, into a new folder."""

    def of(**changes: Any) -> PruningRequest:
        made = stock("separate, pre-norm")
        plain = PruningRequest(made.checkpoint, made.data, "magnitude", ("6", "25%"), tmp_path / "out")
        return dataclasses.replace(plain, calibration=Calibration(sentences=10), **changes)

    return of


Make = Callable[..., PruningRequest]


def test_a_table_to_choose_from(request_of: Make) -> None:
    request = request_of()
    summary = prune(request)
    first, *pruned = summary["models"]
    assert [record["heads_kept"] for record in summary["models"]] == [12, 6, 3]
    assert first["parameters"] > pruned[0]["parameters"] > pruned[1]["parameters"]
    assert summary["metric"] == "bleu_tokenized"  # nobody has the raw references
    for record in pruned:
        assert record["masked_vs_removed_max_abs"] < 1e-5
        assert record["masked_vs_removed_hypotheses"] == 0
        folder = request.out / f"keep{record['heads_kept']}"
        model = removal.load(folder / "model.pt")
        assert list(HeadSpace.of(model).names) == record["kept"]
        mask = dict(line.split() for line in (folder / "mask.txt").read_text(encoding="utf-8").splitlines())
        assert [head for head, keep in mask.items() if keep == "1"] == record["kept"]
    page = (request.out / "summary.md").read_text(encoding="utf-8")
    assert "| 6 of 12 |" in page
    assert "| outputs scored differently |" in page
    assert "valid split, read with subwords subword_nmt, tokenizer none; heads" in page
    assert ("put out noise" in page) == (first["scores"]["bleu_tokenized"] < 2)
    assert "--path" in page


@pytest.mark.parametrize(
    ("metric", "value", "said"), [("bleu", 1.99, True), ("bleu_tokenized", 0, True), ("bleu", 2, False)]
)
def test_a_model_that_puts_out_noise_is_told(metric: str, value: float, said: bool) -> None:
    """The unpruned one, below 2 BLEU; no perplexity is."""
    found = noise({"metric": metric, "models": [{"scores": {metric: value}}]})
    assert [sentence.split(": ")[1][:26] for sentence in found] == ["such models put out noise,"] * said
    assert noise({"metric": "perplexity", "models": [{"scores": {"perplexity": 1e6}}]}) == []


def test_the_printed_command_translates_every_sentence(
    request_of: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hypotheses beside the model, all 60, which is no multiple of 8."""
    request = request_of(keep=("9",), bpe="none")
    prune(request)
    page = (request.out / "summary.md").read_text(encoding="utf-8")
    _, *words = shlex.split(next(line for line in page.splitlines() if line.startswith("fairseq-generate")))
    words[words.index("$(headprune user-dir)")] = str(Path(headprune.__file__).parent)
    capsys.readouterr()
    fairseq_cli.generate.main(options.parse_args_and_arch(options.get_generation_parser(), [*words, "--cpu"]))
    found = dict(re.findall(r"^H-(\d+)\t\S+\t(.*)$", capsys.readouterr().out, re.MULTILINE))
    ours = (request.out / "keep9" / "hypotheses.txt").read_text(encoding="utf-8").splitlines()
    assert len(ours) == 60
    assert [found.get(str(number)) for number in range(60)] == ours


def test_scores_and_the_test_are_of_the_hypotheses(request_of: Make) -> None:
    request = request_of(keep=("6",), bpe="none")
    first, second = prune(request)["models"]
    references = workpiece(request).references
    for record, name in ((first, "unpruned"), (second, "keep6")):
        lines = (request.out / name / "hypotheses.txt").read_text(encoding="utf-8").splitlines()
        score = sacrebleu.corpus_bleu(lines, [references], tokenize="none", force=True).score
        assert record["scores"]["bleu_tokenized"] == pytest.approx(score, abs=1e-9)
    change = second["scores"]["bleu_tokenized"] - first["scores"]["bleu_tokenized"]
    assert second["against_unpruned"]["difference"] == pytest.approx(change, abs=1e-9)


def test_raw_references_give_bleu(request_of: Make, pieces: Path, tmp_path: Path) -> None:
    """The text without marks of subwords, which are told from the dictionary."""
    text = (pieces / "valid.yy").read_text(encoding="utf-8").replace("@@ ", "").replace("@@\n", "\n")
    (tmp_path / "valid.txt").write_text(text, encoding="utf-8")
    summary = prune(request_of(keep=("12",), references=tmp_path / "valid.txt"))
    assert summary["metric"] == "bleu"
    assert summary["terms"]["measured"]["reading"] == ["subwords subword_nmt", "tokenizer none"]
    kept, whole = summary["models"][1], summary["models"][0]
    assert kept["scores"] == whole["scores"]
    assert kept["against_unpruned"]["p_value"] == 1
    (tmp_path / "valid.txt").write_text("one line\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"valid.txt has 1 lines, split 'valid' of .* 60 sentences"):
        prune(request_of(references=tmp_path / "valid.txt", out=tmp_path / "other"))


def test_a_second_call_goes_on(request_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that are there are not made again, more heads are more rows, and a killed call leaves no half."""
    prune(request_of(keep=("6",)))
    before = {path: path.read_bytes() for path in request_of().out.rglob("*") if path.is_file()}
    with monkeypatch.context() as patched:
        patched.setattr(request_of().loaded.method, "scores", None)
        patched.setattr(rows, "measured", None)
        prune(request_of(keep=("6",)))
    assert {path: path.read_bytes() for path in before} == before

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rows, "measured", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(request_of(keep=("3",)))
    assert not (request_of().out / "keep3" / "record.json").exists()
    summary = prune(request_of(keep=("3",)))
    assert [record["heads_kept"] for record in summary["models"]] == [12, 6, 3]


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "seed": ({"seed": 2}, "--seed was 1, is 2"),
    "method": ({"method": "random"}, "--method was magnitude, is random"),
    "option": ({"options": {"norm": "product"}}, "--option norm was blocks, is product"),
    "sentences": ({"sentences": 20}, "--sentences was 60, is 20"),
    "judged": ({"calibration": Calibration(sentences=11)}, "--judged was 10, is 11"),
    "beam": ({"evaluation": AS_GENERATE.model_copy(update={"beam": 2})}, "--beam was 5, is 2"),
    "subwords": (
        {"bpe": "none"},
        "the reading of the data was subwords subword_nmt, .*, is subwords none, tokenizer none",
    ),
    "training": (
        {"fine_tune": 3, "learning_rate": 0.1},
        "--fine-tune was 0, is 3; --learning-rate was not given, is 0.1",
    ),
    "references": ({"references": "valid.txt"}, "the content of --references has changed"),
}


def test_a_call_that_differs_is_refused_with_what_differs(request_of: Make, pieces: Path) -> None:
    """The setting, its old and its new value, and nothing of what is as before."""
    prune(request_of(keep=("6",)))
    for changes, words in OTHERS.values():
        if "references" in changes:
            changes = {"references": pieces / "valid.yy"}
        with pytest.raises(FileExistsError, match=f"holds results of another call: {words}: name another folder$"):
            prune(dataclasses.replace(request_of(), **changes))


def test_without_a_train_split_no_sentence_is_both_judged_and_measured(request_of: Make, tmp_path: Path) -> None:
    data = shutil.copytree(request_of().data, tmp_path / "data")
    for path in data.glob("train.*"):
        path.unlink()
    work = workpiece(request_of(data=data, sentences=20))
    assert work.judged is not None
    assert len(work.judged) == 10
    assert len(work.measured) == 20
    assert not set(work.judged) & set(work.measured)
    seen = {int(number) for batch in work.calibration() for number in batch["id"]}
    assert seen == set(work.judged)


def test_the_test_split_is_not_read(request_of: Make, tmp_path: Path) -> None:
    data = shutil.copytree(request_of().data, tmp_path / "data")
    for path in data.glob("test.*"):
        path.write_bytes(b"garbage")
    expected = prune(request_of())["models"]
    found = prune(request_of(data=data, out=tmp_path / "other"))["models"]
    assert [record["kept"] for record in found[1:]] == [record["kept"] for record in expected[1:]]


def test_masks_are_those_of_the_method(request_of: Make) -> None:
    """The heads of smallest weights go; computed here from the tensors of the file."""
    request = request_of(keep=("6",))
    entry = load_methods()["magnitude"]
    model = open_model(request.checkpoint).model
    scores = entry.method(entry.options({})).scores(model, [], torch.Generator())
    best = sorted(scores.topk(6).indices.tolist())
    assert prune(request)["models"][1]["kept"] == [HeadSpace.of(model).names[i] for i in best]


def test_raw_datasets_are_read_too(request_of: Make, pieces: Path, tmp_path: Path) -> None:
    """`--dataset-impl raw`: text files, numbered with the dictionaries as they are read."""
    data = tmp_path / "raw"
    data.mkdir()
    for language in ("xx", "yy"):
        shutil.copy(request_of().data / f"dict.{language}.txt", data)
        for split in ("train", "valid"):
            shutil.copy(pieces / f"{split}.{language}", data / f"{split}.xx-yy.{language}")
    ours, theirs = workpiece(request_of(data=data)), workpiece(request_of())
    assert ours.references == theirs.references
    assert ours.put_out(ours.model) == theirs.put_out(theirs.model)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown method": ({"method": "magnitud"}, r"unknown method 'magnitud'; did you mean 'magnitude'\?"),
    "a method that trains": ({"method": "dsp"}, r"'dsp' learns its gates in a training, .*: .*fisher.*magnitude"),
    "unknown option": ({"options": {"what": 1}}, "method 'magnitude': unknown option 'what'"),
    "too many heads": ({"keep": ("13",)}, "--keep is '13', outside 0…12, the heads of the model"),
    "no number": ({"keep": ("many",)}, "--keep is 'many'; it takes a number of heads, 24, or a share of them, '60%'"),
    "too much": ({"keep": ("101%",)}, "--keep is '101%'; a share of the heads is within 0%…100%"),
    "unknown subwords": ({"bpe": "bep"}, "unknown bpe 'bep'; did you mean 'gpt2'|unknown bpe 'bep'"),
    "unknown tokeniser": ({"tokenizer": "mose"}, "unknown tokenizer 'mose'; did you mean 'moses'"),
    "GPT-2 without its files": ({"bpe": "gpt2"}, "bpe gpt2 reads its pieces with encoder.json and vocab.bpe; missing"),
    "no references": ({"references": Path("nowhere.txt")}, "there is no file of references nowhere.txt"),
    "no data": ({"data": Path("nowhere")}, "there is no folder nowhere"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests(request_of: Make, case: str) -> None:
    changes, message = BAD[case]
    request = request_of(**changes)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prune(request)
    assert not request.out.exists()


def without_valid(data: Path) -> None:
    for path in data.glob("valid.*"):
        path.unlink()


def without_targets(data: Path) -> None:
    for path in data.glob("valid.*.yy.*"):
        path.unlink()


def other_words(data: Path) -> None:
    path = data / "dict.yy.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("zu ", "other "), encoding="utf-8")


DATA = {
    without_valid: r"has no split 'valid' of xx-yy, valid.xx-yy.\*; its splits: test, train",
    without_targets: r"valid.xx-yy.yy is missing: split 'valid' has sources and no targets",
}


@pytest.mark.parametrize("damage", DATA, ids=lambda damage: damage.__name__)
def test_bad_data(request_of: Make, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    data = shutil.copytree(request_of().data, tmp_path / "data")
    damage(data)
    with pytest.raises(ValueError, match=DATA[damage]):
        prune(request_of(data=data))
    assert not request_of().out.exists()


def test_a_pruned_model_is_pruned_further_with_its_own_words_only(request_of: Make, tmp_path: Path) -> None:
    prune(request_of(keep=("6",)))
    again = request_of(checkpoint=request_of().out / "keep6" / "model.pt", keep=("2",), out=tmp_path / "again")
    assert [record["heads_kept"] for record in prune(again)["models"]] == [6, 2]
    data = shutil.copytree(again.data, tmp_path / "data")
    other_words(data)
    with pytest.raises(ValueError, match="its dictionary of the decoder has 24 symbols, that in .* 24, or others"):
        prune(dataclasses.replace(again, data=data, out=tmp_path / "never"))


def test_a_saved_model_reads_data_of_the_other_direction_in_its_own(request_of: Make, tmp_path: Path) -> None:
    """Its file tells no languages, and names of the data the others: the words do. Hypotheses are the same."""
    made = request_of()
    removal.save(open_model(made.checkpoint, made.data).model, tmp_path / "own.pt")
    turned = tmp_path / "turned"
    turned.mkdir()
    for place in made.data.iterdir():
        shutil.copy(place, turned / place.name.replace("xx-yy", "yy-xx"))
    outputs = []
    for data in (made.data, turned):
        work = workpiece(request_of(checkpoint=tmp_path / "own.pt", data=data, out=tmp_path / data.name))
        assert work.corpus.pair == ("xx", "yy")
        outputs.append(work.put_out(work.model))
    assert outputs[0] == outputs[1]


def test_times_are_measured_where_they_are_asked_for(request_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Speed-ups are ratios of medians: 10 ms to 8 ms, 300 tokens a second to 150."""
    timings = {"unpruned": (Timing(10, 9, 11), Timing(150, 149, 151)), "pruned": (Timing(8, 7, 9), Timing(300, 1, 500))}
    monkeypatch.setattr(
        type(TRANSLATION.work), "time", lambda self, models, *rest: {name: timings[name] for name in models}
    )
    request = request_of(keep=("6",), speed=True)
    record = prune(request)["models"][1]
    assert (record["speed_up"], record["speed_up_in_batches"]) == (1.25, 2.0)
    assert "| speed-up | in batches |" in (request.out / "summary.md").read_text(encoding="utf-8")


def test_options_and_budgets() -> None:
    assert options_of(["a=1", "b=x", "c=true", "d=1e-3"]) == {"a": 1, "b": "x", "c": True, "d": 1e-3}
    for text in ("a", "=1", "a={[1"):
        with pytest.raises(ValueError, match="--option"):
            options_of([text])
    with pytest.raises(ValueError, match="each name once"):
        options_of(["a=1", "a=2"])
    assert [budget_of(text, 48) for text in ("0", "48", "50%", "0%", "33.4%")] == [0, 48, 24, 0, 16]
    assert budget_of("50%", 25) == 13


@hypothesis.given(st.integers(0, 500), st.integers(0, 1000))
def test_the_command_line_rounds_shares_as_python_does(total: int, tenths: int) -> None:
    """The nearest head, halves up: the largest K whose distance to the share is no larger than half a head."""
    share = Fraction(tenths, 1000) * total
    nearest = max(kept for kept in range(total + 1) if abs(kept - share) <= Fraction(1, 2))
    text = f"{tenths // 10}.{tenths % 10}%"
    assert budget_of(text, total) == heads_to_keep(text, total) == nearest


def test_the_command(request_of: Make, tmp_path: Path) -> None:
    request = request_of()
    words = ["prune", str(request.checkpoint), "--data", str(request.data), "--out", str(tmp_path / "cut")]
    result = CliRunner().invoke(app, [*words, "--keep", "50%", "--method", "magnitude", "--sentences", "12"])
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "cut" / "summary.json").read_text(encoding="utf-8"))
    assert "6 of 12" in result.stdout
    score = summary["models"][0]["scores"]["bleu_tokenized"]
    assert ("put out noise" in result.stdout) == (score < 2)
    assert summary["metric"] == "bleu_tokenized"
