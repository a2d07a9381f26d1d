"""Optimisers with a group of their own for gate parameters (`parameter.param_group == "gates"`).

Theirs is a learning rate of their own, constant unless told otherwise, no weight decay (D11) and a norm of their own to
clip at (D12 of docs/theory/defects.md); gradients that are not finite count as 0 for them, and stay an error for the
weights.

Annotations are not postponed in this module: fairseq reads the types of configuration fields at run time.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq import utils
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import Adam, FairseqAdam, FairseqAdamConfig
from omegaconf import II
from torch import Tensor

GATE_LR: Any = field(default=0.2, metadata={"help": "learning rate of the gate parameters"})
GATE_SCHEDULE: Any = field(default="constant", metadata={"help": "of that rate: constant, or model: as the weights'"})
GATE_CLIP_NORM: Any = field(default=1.0, metadata={"help": "clip the gates' gradient apart at this norm"})


class GateGroup(FairseqOptimizer):
    """Mixin before one of fairseq's optimisers."""

    def split(self, cfg: Any, params: Iterable[Any]) -> list[dict[str, Any]]:
        """The parameter groups, weights first; a group without members is left out."""
        params = list(params)
        self.gates = [p for p in params if getattr(p, "param_group", None) == "gates"]
        self.weights = [p for p in params if getattr(p, "param_group", None) != "gates"]
        groups: list[dict[str, Any]] = [{"params": self.weights, "gates": False}] if self.weights else []
        if self.gates:
            groups.append({"params": self.gates, "gates": True, "lr": cfg.gate_lr, "weight_decay": 0.0})
        return groups

    def set_lr(self, lr: float) -> None:
        """Sets the rate of the weights; that of the gates stays, or has the same share of its own peak."""
        share = lr / _peak(self.cfg) if getattr(self.cfg, "gate_schedule", "constant") == "model" else 1.0
        for group in self.param_groups:
            group["lr"] = self.cfg.gate_lr * share if group["gates"] else lr

    def get_lr(self) -> float:
        return float(self.param_groups[0]["lr"])

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn: Callable[..., Any] | None = None) -> Tensor:
        """Clips both groups, each at its own norm; returns the weights' norm (the gates' if alone)."""
        gate_norm = self.clip_gates()
        return utils.clip_grad_norm_(self.weights, max_norm, aggregate_norm_fn) if self.weights else gate_norm.float()

    def clip_gates(self) -> Tensor:
        """Clips the gradient of the gates at `gate_clip_norm`, after entries that are not finite became 0.

        :returns: its norm before, ()
        """
        for gate in self.gates:
            if gate.grad is not None:
                torch.nan_to_num_(gate.grad, nan=0.0, posinf=0.0, neginf=0.0)
        return torch.nn.utils.clip_grad_norm_(self.gates, self.cfg.gate_clip_norm)


def _peak(cfg: Any) -> float:
    """The learning rate of the weights that their schedule is made from."""
    return float(cfg.lr[0] if isinstance(cfg.lr, Sequence) else cfg.lr)


class FusedAdam(Adam):
    """fairseq's Adam with one call of torch for all tensors that have made as many steps; state and numbers are the
    same but for rounding.

    fairseq adds ε to √v before it corrects the bias of v, torch's fused kernel afterwards: it is given ε / √(1 − β2ᵗ).
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if any(p.dtype not in (torch.float32, torch.float64) for group in self.param_groups for p in group["params"]):
            return super().step(closure)
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for members in self._alike(group["params"]):
                self._update(members, group)
        return loss

    def _alike(self, params: Iterable[Tensor]) -> list[list[Tensor]]:
        """Those with a gradient, by type, device and steps made so far; what has made none gets its state."""
        groups: dict[Any, list[Tensor]] = {}
        for p in params:
            if p.grad is not None:
                state = self.state[p]
                if not state:
                    state |= {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                groups.setdefault((p.dtype, p.device, int(state["step"])), []).append(p)
        return list(groups.values())

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        states, gradients = [self.state[p] for p in params], [p.grad for p in params if p.grad is not None]
        done = int(states[0]["step"]) + 1
        beta1, beta2 = group["betas"]
        steps = [torch.tensor(float(done), device=params[0].device)] * len(params)
        torch._fused_adamw_(
            params,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"] / (1 - beta2**done) ** 0.5,
            amsgrad=False,
            maximize=False,
        )
        for state in states:
            state["step"] = done


@dataclass
class GatedAdamConfig(FairseqAdamConfig):
    gate_lr: float = GATE_LR
    gate_schedule: str = GATE_SCHEDULE
    gate_clip_norm: float = GATE_CLIP_NORM
    fused: bool = field(default=False, metadata={"help": "one call for all tensors, other rounding"})


@register_optimizer("gated_adam", dataclass=GatedAdamConfig)
class GatedAdam(GateGroup, FairseqAdam):
    """fairseq's Adam; with `fused`, `FusedAdam`.

    fairseq's trainer scales all gradients, and then clips them. What is fused does both at once, and nothing where the
    factor of both is 1.
    """

    def __init__(self, cfg: GatedAdamConfig, params: Any) -> None:
        super().__init__(cfg, self.split(cfg, params))
        self.fused = bool(getattr(cfg, "fused", False))
        self.factor = 1.0  # of the gradients, still to be applied
        if self.fused:
            self._optimizer = FusedAdam(self.param_groups, **self.optimizer_config)

    def multiply_grads(self, c: Any) -> None:
        if self.fused and not isinstance(c, Tensor):
            self.factor *= c
        else:
            super().multiply_grads(c)

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn: Callable[..., Any] | None = None) -> Tensor:
        """Clips both groups as `GateGroup` does; what is fused applies the factor in the same pass.

        :returns: the norm of the weights' gradient after that factor and before clipping, ()
        """
        gradients = [p.grad for p in self.weights if p.grad is not None]
        single = all(gradient.dtype == torch.float32 for gradient in gradients)
        if not (self.fused and gradients and single) or aggregate_norm_fn is not None:
            self.apply_factor(self.weights + self.gates)
            return super().clip_grad_norm(max_norm, aggregate_norm_fn)
        norm = self.factor * torch.norm(torch.stack(torch._foreach_norm(gradients)))
        scale(gradients, self.factor * (min(1.0, max_norm / (float(norm) + 1e-6)) if max_norm > 0 else 1.0))
        self.apply_factor(self.gates)
        self.clip_gates()
        return norm

    def step(self, *args: Any, **kwargs: Any) -> None:
        self.apply_factor(self.weights + self.gates)
        super().step(*args, **kwargs)

    def zero_grad(self) -> None:
        """Clears gradients as fairseq's does, which looks at every parameter twice."""
        for parameter in self.weights + self.gates:
            parameter.grad = None

    def apply_factor(self, parameters: Iterable[Tensor]) -> None:
        """Scales the gradients of these, and those of no others any more."""
        scale([p.grad for p in parameters if p.grad is not None], self.factor)
        self.factor = 1.0


def scale(gradients: list[Tensor], factor: float) -> None:
    """Multiplies gradients of any shapes in place; a factor of 1 costs nothing."""
    if factor != 1 and gradients:
        torch._foreach_mul_(gradients, factor)


@dataclass
class GatedLambConfig(FairseqDataclass):
    lamb_betas: str = field(default="(0.9, 0.999)", metadata={"help": "decay rates of the two moments"})
    lamb_eps: float = field(default=1e-8, metadata={"help": "added to the denominators"})
    weight_decay: float = field(default=0.0, metadata={"help": "weight decay, part of the update"})
    gate_lr: float = GATE_LR
    gate_schedule: str = GATE_SCHEDULE
    gate_clip_norm: float = GATE_CLIP_NORM
    lr: list[float] = II("optimization.lr")  # noqa: RUF009  # fairseq resolves it


@register_optimizer("gated_lamb", dataclass=GatedLambConfig)
class GatedLamb(GateGroup):
    """LAMB (You et al. 2020) as Shim et al. use it: no bias correction, weight norms clipped at 10, one trust ratio per
    tensor; docs/theory/language-model-training.md#lamb. fairseq's own needs apex and a GPU."""

    def __init__(self, cfg: GatedLambConfig, params: Any) -> None:
        super().__init__(cfg)
        from pytorch_optimizer import Lamb  # almost a second, which all other trainings would pay

        self._optimizer = Lamb(self.split(cfg, params), **self.optimizer_config)

    @property
    def optimizer_config(self) -> dict[str, Any]:
        return {
            "lr": _peak(self.cfg),
            "betas": tuple(float(beta) for beta in self.cfg.lamb_betas.strip("() ").split(",")),
            "eps": self.cfg.lamb_eps,
            "weight_decay": self.cfg.weight_decay,
            "weight_decouple": False,
            "adam_debias": True,  # despite its name: the library divides by 1 − β1ᵗ without it
        }
