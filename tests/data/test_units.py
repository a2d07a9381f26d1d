from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.data.subwords import normalise
from headprune.data.units import cut, join

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581\n"), max_size=40)


def test_units_of_a_line() -> None:
    line = 'It\'s "well-known", she  said.'
    assert cut([line, ""], "words") == ['It\'s "well-known", she said.', ""]
    assert cut([line], "words", split_punctuation=True) == ['It\'s " well-known " , she said .']
    assert cut(["a é"], "characters") == ["a ▁ é"]
    assert cut(["a é"], "bytes") == ["61 20 c3 a9"]


@given(TEXT)
def test_characters_and_bytes_come_back(line: str) -> None:
    assert join(cut([line], "bytes")[0].split(), "bytes") == line
    assert join(cut([line], "characters")[0].split(" "), "characters") == normalise(line)
    assert join(cut([line], "words")[0].split(" "), "words") == normalise(line)


@given(TEXT)
def test_units_are_what_fairseq_splits_at(line: str) -> None:
    """At any Unicode white space, that is."""
    for units in ("words", "characters", "bytes"):
        pieces = cut([line], units)[0]  # type: ignore[arg-type]
        assert pieces.split() == pieces.split(" ") or not pieces


def test_unknown_bytes_are_left_out_and_halves_of_characters_marked() -> None:
    assert join(["61", "<unk>", "c3"], "bytes") == "a\ufffd"


def test_symbols_of_fairseqs_own_are_refused_except_unknown() -> None:
    assert cut(["a <unk> b"], "words") == ["a <unk> b"]
    with pytest.raises(ValueError, match="line 2 has the unit <pad>"):
        cut(["fine", "a <pad> b"], "words")
    assert cut(["<pad>"], "characters") == ["< p a d >"]
