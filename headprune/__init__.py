"""headprune: a reproducible benchmark suite for attention-head pruning."""

__version__ = "0.1.0"

# Functions for Python, each with the module that has it, which is imported when they are asked for.
EXPORTS = {"prune": "pruning", "export": "plain"}


def __getattr__(name):  # of any type: an annotation would need an import
    """The functions of `EXPORTS`.

    :raises AttributeError: another name.
    """
    if name not in EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *EXPORTS]
