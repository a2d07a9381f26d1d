"""The part of a gate method in fairseq's trainer: a mixin for models, whatever their architecture.

The method is a submodule of the model, so that its parameters and their optimiser state are saved and resumed with the
rest. fairseq tells every model the update number; training forwards draw a sample, evaluation uses the hard mask.
"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

import torch
from torch import Tensor, nn

from headprune.gates import call_projections, install, set_gates, set_module_gates
from headprune.heads import TYPES, HeadSpace, Scope, attention_points
from headprune.method import GateMethod, Progress, load_methods, unknown
from headprune.method.guards import undisturbed

PREFIX = "gate_method."


# fairseq leaves out of a model's arguments what the command line does not give.
DEFAULTS = {
    "gate_method": None,
    "gate_options": "{}",
    "gate_seed": 1,
    "gate_pipelined": False,
    "gate_methods": "",
    "gate_types": ",".join(TYPES),
    "gate_min_per_module": 0,
}


def add_gate_arguments(parser: Any) -> None:
    """The command-line arguments of gate training, for `fairseq-train --user-dir`."""
    parser.add_argument("--gate-method", metavar="NAME", help="gate method to train; none: an ordinary model")
    parser.add_argument("--gate-options", metavar="JSON", help="hyper-parameters of the gate method")
    parser.add_argument("--gate-budget", type=int, metavar="K", help="heads to keep, of those with gates")
    parser.add_argument("--gate-total-updates", type=int, metavar="N", help="updates that make progress 1")
    parser.add_argument("--gate-seed", type=int, metavar="S", help="seed of the gates' random numbers")
    parser.add_argument("--gate-pipelined", action="store_true", help="freeze the model, train the gates only")
    parser.add_argument("--gate-types", metavar="TYPES", help="attention types with gates, separated by `,`")
    parser.add_argument("--gate-min-per-module", type=int, metavar="N", help="heads that every module keeps at least")
    parser.add_argument("--gate-methods", metavar="DIRS", help="directories of methods, separated by `:`")


def set_hard_gates(model: nn.Module, method: GateMethod, scope: Scope) -> None:
    """Gates of the mask that a method keeps at its budget; heads outside its scope are open."""
    mask = method.keep(method.budget)
    gates = method.gates(mask).detach().float().cpu()
    whole = dict(zip(mask.space.heads, gates.tolist(), strict=True))
    everywhere = torch.tensor([whole.get(head, 1.0) for head in HeadSpace.of(model)])
    set_gates(model, None if bool((everywhere == 1).all()) else everywhere)


class GateTraining(nn.Module):
    """Mixin before a fairseq model class. Without a gate method it changes nothing."""

    gate_method: GateMethod | None
    _gated: Tensor  # the numbers of the heads that have gates

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate_method = None
        self._total, self._seed, self._update, self._draw = 1, 1, 0, 0
        self._progress: Progress | None = None

    def attach_gates(self, args: Namespace) -> None:
        """Puts in gate points and, when `args` names one, the gate method."""
        install(self)
        for name, default in DEFAULTS.items():
            if not hasattr(args, name):
                setattr(args, name, default)
        if not args.gate_method:
            return
        known = load_methods(*filter(None, args.gate_methods.split(":")))
        if args.gate_method not in known:
            raise ValueError("--gate-method: " + unknown("method", args.gate_method, known))
        if getattr(args, "gate_budget", None) is None or getattr(args, "gate_total_updates", None) is None:
            raise ValueError("--gate-method needs --gate-budget and --gate-total-updates")
        entry = known[args.gate_method]
        generator = torch.Generator().manual_seed(args.gate_seed)
        options = entry.options(json.loads(args.gate_options))
        self._seed, self._total = args.gate_seed, args.gate_total_updates
        if args.gate_pipelined:
            for parameter in self.parameters():
                parameter.requires_grad_(False)
        self._scope = Scope(tuple(args.gate_types.split(",")), args.gate_min_per_module)
        space = HeadSpace.of(self)
        self._points, self._heads = attention_points(self), len(space)  # finding them takes as long as drawing gates
        gated = self._scope.subspace(space)
        self.register_buffer("_gated", torch.tensor([space.heads.index(head) for head in gated]), persistent=False)
        with undisturbed(args.gate_method):  # what it drew, the weights and the order of the data would lack
            self.gate_method = entry.method(gated, args.gate_budget, options, generator, self._scope)

    def set_num_updates(self, num_updates: int) -> None:
        super().set_num_updates(num_updates)  # type: ignore[misc]
        if num_updates != self._update:
            self._update, self._draw = num_updates, 0

    def train(self, mode: bool = True) -> GateTraining:
        super().train(mode)
        if self.gate_method is not None and not mode:
            self.close_pruned_heads()
        return self

    def close_pruned_heads(self) -> None:
        """Sets the gates of the hard mask of the gate method, those that evaluation uses."""
        assert self.gate_method is not None
        set_hard_gates(self, self.gate_method, self._scope)

    def sampled_gates(self) -> Tensor:
        """Gates of this training forward (N,); 1 for heads that have none."""
        assert self.gate_method is not None
        with undisturbed(self._what("sample")):
            gates = self.gate_method.sample(self._next_draw())
        whole = gates.new_ones(self._heads)
        return whole.index_copy(0, self._gated.to(gates.device), gates)  # a method without parameters knows no device

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.gate_method is not None:
            if self.training:
                call_projections(self._points, always=True)
                set_module_gates(self._points, self.sampled_gates())
            else:
                self.close_pruned_heads()
        return super().forward(*args, **kwargs)

    def gate_penalty(self) -> Tensor | float:
        """The method's penalty at the progress of the last training forward; 0 without a gate method."""
        if self.gate_method is None or self._progress is None:
            return 0.0
        if type(self.gate_method).penalty is GateMethod.penalty:  # the contract's own, 0: nothing to guard
            return self.gate_method.penalty(self._progress)
        with undisturbed(self._what("penalty")):
            return self.gate_method.penalty(self._progress)

    def _what(self, function: str) -> str:
        return f"{function}() of {type(self.gate_method).__name__}"

    def _next_draw(self) -> Progress:
        seed = (self._seed * 1_000_003 + self._update) * 1_009 + self._draw
        self._draw += 1
        self._progress = Progress(self._update, self._total, torch.Generator().manual_seed(seed))
        return self._progress

    def upgrade_state_dict_named(self, state_dict: dict[str, Tensor], name: str) -> None:
        """Reconciles a checkpoint with this model: a dense one starts the gates fresh, gates without a method go."""
        super().upgrade_state_dict_named(state_dict, name)  # type: ignore[misc]
        own = {PREFIX + k: v for k, v in self.gate_method.state_dict().items()} if self.gate_method else {}
        for key in [key for key in state_dict if key.startswith(PREFIX) and key not in own]:
            del state_dict[key]
        for key, value in own.items():
            state_dict.setdefault(key, value.clone())
