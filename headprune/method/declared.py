"""Declarations of method files, read without running them, so that profiles can be checked without torch.

Read are classes at the top of a file, under `@register("name")` alone, that derive from a contract and give attributes
and options as literals, or sums and spaces of them, as every method of this repository does. The one function that is
taken over is `__post_init__` of the options, which refuses values; it runs when options are given. Of the methods of
this repository this is the truth; what another file registers when it is imported goes before what is read here.
"""

from __future__ import annotations

import ast
import builtins
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import make_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from headprune.method.entry import MODES, Entry, method_files
from headprune.method.options import option
from headprune.method.spaces import SPACES

KINDS = {"ScoreMethod": "score", "GateMethod": "gate"}
DEFAULTS: dict[str, dict[str, Any]] = {
    "score": {"title": "", "family": "", "prunes": True},
    "gate": {"title": "", "family": "", "modes": MODES, "per_budget": True, "coefficient": ""},
}
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


class UnclearError(ValueError):
    """A file that has to be run to know what it says."""


def declared(*directories: str | Path) -> dict[str, Entry] | None:
    """The methods of the directories as `load_methods` would return them, with classes that can do nothing; None where
    one of the files has to be run to know.

    :param directories: none: the methods of this repository
    """
    found: dict[str, Entry] = {}
    try:
        for file in method_files(*directories):
            for entry in _entries(file, file.read_bytes()):
                if entry.name in found and found[entry.name].file != file:
                    return None
                found[entry.name] = entry
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None
    return dict(sorted(found.items()))


@lru_cache(maxsize=256)  # a process asks for the same files with every profile that it reads
def _entries(file: Path, content: bytes) -> tuple[Entry, ...]:
    tree = ast.parse(content)
    constants: dict[str, Any] = {}
    entries = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            constants |= _constants(node, constants)
        elif isinstance(node, ast.Import):
            constants |= {alias.asname or "math": math for alias in node.names if alias.name == "math"}
        elif isinstance(node, ast.ClassDef) and any("register" in ast.unparse(d) for d in node.decorator_list):
            entries.append(_entry(file, node, constants))
    mentions = sum(getattr(node, "id", getattr(node, "attr", "")) == "register" for node in ast.walk(tree))
    if mentions != len(entries):
        raise UnclearError(f"{file} registers in another way than by decorating classes at its top")
    return tuple(entries)


def _entry(file: Path, node: ast.ClassDef, constants: Mapping[str, Any]) -> Entry:
    """:raises UnclearError: something about the method is no literal."""
    match node.decorator_list, node.bases:
        case [ast.Call(func=ast.Name("register")) as call], [ast.Name(base)] if base in KINDS and not node.keywords:
            kind = KINDS[base]
        case _:
            raise UnclearError(f"{node.name} is no plain class of a method")
    given = dict(zip(("name", "paper"), (_value(word, constants) for word in call.args), strict=False))
    given |= {str(word.arg): _value(word.value, constants) for word in call.keywords}
    if not isinstance(given.get("name"), str):
        raise UnclearError(f"{node.name} is registered without a name")
    attributes = {**DEFAULTS[kind], "__doc__": ast.get_docstring(node), "Options": make_dataclass("NoOptions", [])}
    for item in node.body:
        if isinstance(item, ast.ClassDef) and item.name == "Options":
            attributes["Options"] = _options(item, constants)
        elif isinstance(item, (ast.Assign, ast.AnnAssign)):
            targets = item.targets if isinstance(item, ast.Assign) else [item.target]
            for name in {ast.unparse(target) for target in targets} & set(DEFAULTS[kind]):
                attributes[name] = _value(item.value, constants)
        elif isinstance(item, ast.FunctionDef) and item.name in DEFAULTS[kind]:
            raise UnclearError(f"{node.name}.{item.name} is a function")
    return Entry(given["name"], kind, type(node.name, (), attributes), str(given.get("paper", "")), file)


def _options(node: ast.ClassDef, constants: Mapping[str, Any]) -> type:
    """A class of the same fields that refuses the same values."""
    if node.bases:
        raise UnclearError(f"{node.name} derives from another class")
    fields, namespace = [], {}
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__post_init__":
            namespace[item.name] = _function(item, constants)
        if not isinstance(item, ast.AnnAssign):
            continue
        match item.target, item.value:
            case ast.Name(name), ast.Call(func=ast.Name("option")) as call:
                fields.append((name, Any, _made(option, call, constants)))
            case _:
                raise UnclearError(f"an option is given as {ast.unparse(item)}")
    return make_dataclass("Options", fields, namespace=namespace, frozen=True)


def _function(node: ast.FunctionDef, constants: Mapping[str, Any]) -> Any:
    """The function itself.

    :raises UnclearError: it uses a name that is neither its own, nor Python's, nor a constant of the file.
    """
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    own = {name.id for name in names if isinstance(name.ctx, ast.Store)} | {a.arg for a in node.args.args}
    for name in names:
        if not (name.id in own or name.id in constants or hasattr(builtins, name.id)):
            raise UnclearError(f"{node.name} uses {name.id}")
    scope = dict(constants)
    exec(compile(ast.Module([node], []), node.name, "exec"), scope)
    return scope[node.name]


def _made(function: Callable[..., Any], call: ast.Call, constants: Mapping[str, Any]) -> Any:
    """The value that a call of a known function has.

    :raises UnclearError: an argument is no literal, or one that the function does not take.
    """
    words = {str(word.arg): _value(word.value, constants) for word in call.keywords}
    try:
        return function(*(_value(argument, constants) for argument in call.args), **words)
    except TypeError as error:
        raise UnclearError(str(error)) from error


def _constants(node: ast.Assign, known: Mapping[str, Any]) -> dict[str, Any]:
    try:
        value = _value(node.value, known)
    except UnclearError:
        return {}
    return {target.id: value for target in node.targets if isinstance(target, ast.Name)}


def _value(node: ast.expr | None, constants: Mapping[str, Any]) -> Any:
    """:raises UnclearError: it is not a literal, a constant of the file, or a space, sum or product of such."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name) if name in constants:
            return constants[name]
        case ast.Call(func=ast.Name(name)) as call if name in SPACES:
            return _made(SPACES[name], call, constants)
        case ast.Tuple(elements) | ast.List(elements):
            return tuple(_value(element, constants) for element in elements)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, constants)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            try:
                return OPERATORS[type(op)](_value(left, constants), _value(right, constants))
            except (TypeError, ArithmeticError) as error:
                raise UnclearError(str(error)) from error
    raise UnclearError("not a literal" if node is None else f"{ast.unparse(node)} is no literal")
