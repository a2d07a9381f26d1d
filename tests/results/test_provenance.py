"""The origin of numbers: processors of one name are told apart by what their kernels are chosen by."""

from __future__ import annotations

from found import Found, rows

from headprune.pipeline.manifests import runtime
from headprune.results import provenance
from headprune.results.provenance import cpu_of, hardware_name

BLOCK = """processor\t: {number}
vendor_id\t: AuthenticAMD
cpu family\t: {family}
model\t\t: {model}
model name\t: AMD EPYC
stepping\t: 1
microcode\t: {microcode}
cache size\t: 512 KB
flags\t\t: fpu sse4_2 avx avx2 fma {more}
"""
GENOA = {"family": 25, "model": 17, "microcode": "0x1", "more": "avx512f avx512_vnni avx512_bf16"}


def named(**changes: object) -> str:
    text = "\n".join(BLOCK.format(number=number, **GENOA | changes) for number in (0, 1))
    return hardware_name(cpu_of(text) | {"kernels": "AVX512"})


@rows(
    Found("another generation", "AMD EPYC x2 for both", False, "model of /proc/cpuinfo", {"model": 1}),
    Found("another family", "AMD EPYC x2 for both", False, "cpu family of /proc/cpuinfo", {"family": 23}),
    Found("no AVX-512", "AMD EPYC x2 for both", False, "flags of /proc/cpuinfo", {"more": ""}),
    Found("a flag that no kernel is chosen by", "–", True, "flags of /proc/cpuinfo", {"more": GENOA["more"] + " hle"}),
    Found("new microcode on the same machine", "–", True, "it changes between boots", {"microcode": "0x2"}),
)
def test_processors_of_one_name(found: Found) -> None:
    """The right and wrong values say whether the two are one in signatures."""
    assert (named() == named(**found.case)) == found.right


def test_the_name_says_what_kernels_are_chosen_by() -> None:
    expected = "AMD EPYC x2 (family 25, model 17, stepping 1; AVX512: avx avx2 fma avx512f avx512_vnni avx512_bf16)"
    assert named() == expected
    assert cpu_of("") == {}
    arm = cpu_of("processor\t: 0\nFeatures\t: fp asimd bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n")
    assert arm == {"implementer": "0x41", "part": "0xd40", "instructions": ["asimd", "bf16"], "count": 1}


def test_manifests_name_the_processor_in_full() -> None:
    """Everything that does not go into the signature stands beside it."""
    found = runtime()["processor"]
    assert found == provenance.processor()
    assert {"name", "count", "instructions", "kernels"} <= set(found)
    assert provenance.hardware().startswith(hardware_name(found))
