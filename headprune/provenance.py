"""Where a number comes from: code, libraries, hardware; and the signature that stands for all of it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
LIBRARIES = ("torch", "ve-fairseq", "numpy", "sacrebleu", "sentencepiece")


def digest(value: Any) -> str:
    """First 12 hex digits of the sha256 of a JSON-able value: a signature."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def file_sha256(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_sha256() -> str:
    """Hash of the library's own source files: the code version that results depend on."""
    total = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        total.update(f"{path.relative_to(PACKAGE)}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


@cache
def libraries() -> dict[str, str]:
    """Installed versions of the libraries that decide results."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


@cache
def hardware() -> str:
    """Processor (and GPU) model and the number of processors."""
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.split(":")[1].strip() for line in lines if "model name" in line]
        name = f"{models[0]} x{len(models)}" if models else name
    if torch.cuda.is_available():
        name += f", {torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return name


@cache
def git_commit() -> Mapping[str, Any]:
    """Commit of the working tree and whether it has changes, when first asked; empty outside a repository."""
    root = PACKAGE.parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit.stdout.decode("ascii").strip(), "dirty": bool(status.stdout.strip())}


def environment() -> dict[str, Any]:
    """What every signature includes beside the cell's own configuration."""
    return {"code": code_sha256(), "libraries": libraries(), "hardware": hardware()}
