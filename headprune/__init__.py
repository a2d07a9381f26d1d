"""headprune: a reproducible benchmark suite for attention-head pruning."""

__version__ = "0.1.0"

EXPORTS = {
    "prune": "pruning",
    "export": "plain",
}  # functions for Python, with the module that has them, imported when asked for


def __getattr__(name: str) -> object:
    """The functions of `EXPORTS`."""
    if name not in EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *EXPORTS]
