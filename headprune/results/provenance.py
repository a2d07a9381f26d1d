"""The origin of a number: code, libraries, hardware; and the signature that stands for all of it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from headprune.system import compiled
from headprune.system.bundled import PACKAGE

# Packages and modules that nothing computes with: they read results, check methods and code, or talk to users.
LEFT_OUT = (
    *("analysis", "report", "results/merging", "verification", "check", "cli", "pruning", "plain.py"),
    *("data/display.py", "method/display.py", "pipeline/display.py", "pipeline/planned.py", "pipeline/failures.py"),
    "pipeline/accelerators.py",
    *("system/terminal.py", "method/template.py"),
    "bundled",  # of a wheel: what a clone has beside the package; methods' files are in the signatures of their cells
)
# By our names, those of /proc/cpuinfo, and the instruction sets that torch, oneDNN and MKL choose kernels by.
CPUINFO = {
    "name": "model name",
    "vendor": "vendor_id",
    "family": "cpu family",
    "model": "model",
    "stepping": "stepping",
    "microcode": "microcode",
    "cache": "cache size",
    "implementer": "CPU implementer",
    "part": "CPU part",
}
INSTRUCTIONS = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni"),
    *("avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "bf16", "i8mm", "sve", "sve2"),  # of ARM
)
LIBRARIES = ("torch", "ve-fairseq", "numpy", "sacrebleu", "sentencepiece", "pytorch-optimizer")


def digest(value: Any) -> str:
    """First 12 hex digits of the sha256 of a JSON-able value: a signature."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def file_sha256(path: str | Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_sha256() -> str:
    """Hash of the library's source files but `LEFT_OUT`: the version of the code that results depend on."""
    return hash_of_code(PACKAGE)


def hash_of_code(package: Path) -> str:
    """The hash of a copy of the package, wherever it lies: names and bytes of the files count."""
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not is_left_out(name):
            total.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def is_left_out(name: str) -> bool:
    """Return whether a file of the package, `report/page.py`, is no part of the hash."""
    return any(name == out or name.startswith(f"{out}/") for out in LEFT_OUT)


@cache
def libraries() -> dict[str, str]:
    """Installed versions of the libraries that decide results."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


@cache
def hardware() -> str:
    """The hardware that computes: processor and GPU with what kernels are chosen by. Part of every signature.

    Two processors may bear one name and round differently, since libraries pick their kernels by family, model and
    instruction sets; all of these are here. Microcode, clock and caches stand beside the signature, in the manifests
    (`processor`): they change on one and the same machine, and the results with them would all be computed anew.
    Without compiled functions, as where there is no compiler, others compute the same, and draw dropout differently.
    """
    import torch

    name = hardware_name(processor())
    if torch.cuda.is_available():
        name += f", {torch.cuda.get_device_name()}"
    return name if compiled.usable() else f"{name}, without compiled functions"


@cache
def processor() -> dict[str, Any]:
    """The processor as it and torch tell of it.

    :returns: `name`, `count`, `instructions`, `kernels`, and where /proc/cpuinfo has them the keys of CPUINFO
    """
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    found = cpu_of(cpuinfo.read_text(encoding="utf-8")) if cpuinfo.exists() else {}
    name = platform.processor() or platform.machine()
    unknown: dict[str, Any] = {"name": name, "count": os.cpu_count(), "instructions": []}
    return unknown | found | {"kernels": torch.backends.cpu.get_cpu_capability()}


def cpu_of(cpuinfo: str) -> dict[str, Any]:
    """The first processor by /proc/cpuinfo, and how many there are; keys that it lacks are left out."""
    blocks = [block for block in cpuinfo.split("\n\n") if block.strip()]
    lines = (line.partition(":") for line in blocks[0].splitlines()) if blocks else ()
    told = {key.strip(): value.strip() for key, _, value in lines}
    found: dict[str, Any] = {name: told[key] for name, key in CPUINFO.items() if key in told}
    flags = set(told.get("flags", told.get("Features", "")).split())
    if flags:
        found["instructions"] = [name for name in INSTRUCTIONS if name in flags]
    return found | {"count": len(blocks)} if found else {}


def hardware_name(found: Mapping[str, Any]) -> str:
    """`AMD EPYC x2 (family 25, model 17, stepping 1; AVX512: avx2 avx512f)`, from what `processor` returns."""
    parts = [", ".join(f"{key} {found[key]}" for key in ("family", "model", "stepping") if key in found)]
    parts.append(": ".join(part for part in (found["kernels"], " ".join(found["instructions"])) if part))
    return f"{found['name']} x{found['count']} ({'; '.join(part for part in parts if part)})"


@cache
def git_commit() -> Mapping[str, Any]:
    """Commit of the clone and whether it has changes, when first asked; empty where git does not track the library.

    :returns: `commit`, in hexadecimal; `dirty`, true where there are changes
    """
    try:
        # Installed within a repository of somebody's, it is not tracked there, and the commit says nothing of it.
        _git("ls-files", "--error-unmatch", str(PACKAGE / "__init__.py"))
        return {"commit": _git("rev-parse", "HEAD"), "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _git(*words: str) -> str:
    """The answer of git about the folder that the package lies in."""
    done = subprocess.run(["git", *words], cwd=PACKAGE.parent, capture_output=True, check=True)
    return os.fsdecode(done.stdout).strip()


def environment() -> dict[str, Any]:
    """The part of every signature that is not the cell's own configuration.

    :returns: `code`, a digest; `libraries`, versions by name; `hardware`, a name
    """
    return {"code": code_sha256(), "libraries": libraries(), "hardware": hardware()}
