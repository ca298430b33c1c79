"""What changes while weights are fitted, and the one way in which it does: an optimizer step on some micro-batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from stage1_core.training.averaging import WeightAverage
from stage1_core.training.config import TrainingConfig
from stage1_core.training.execution import Forward, sum_over_processes
from stage1_core.training.replay import Replayable
from stage1_core.training.targets import Objective, Targets
from stage1_core.training.update import trainable_parameters

Batch = tuple[Tensor, Targets]
"""Inputs and what is known about them."""


class Learner:
    """Model, objective, optimizer and average, on one device."""

    def __init__(
        self, model: nn.Module, objective: Objective, config: TrainingConfig, accelerator: Accelerator
    ) -> None:
        self.model = model.to(accelerator.device)
        self.forward: Forward = self.model
        self.objective = objective.to(accelerator.device)
        self.accelerator = accelerator
        self.parameters = trainable_parameters(self.model)
        self.update = config.optimizer.build(self.model, accelerator, config.max_grad_norm)
        self.average = WeightAverage(config.average, self.parameters)

    def begin_epoch(self) -> None:
        """Training mode."""
        self.model.train()
        self.objective.train()

    def end_epoch(self) -> None:
        """Let the objective go on to the next epoch."""
        self.objective.end_epoch(partial(sum_over_processes, self.accelerator))

    def place(self, inputs: Tensor, targets: Targets) -> Batch:
        """A batch on the device."""
        device = self.accelerator.device
        return inputs.to(device, non_blocking=True), targets.to(device)

    def rehearse(self, batch: Batch) -> None:
        """Forward and backward as in training, leaving no trace in gradients and objective.

        What an optimizer keeps (AdamW two copies of the trained weights, F-SAM two more) is not rehearsed, nor are the
        other micro-batches of a step, which lie beside the one that is passed.
        """
        try:
            self.model.train()
            self.objective.eval()
            self.pass_over([batch], [1.0])
        finally:
            self.clear_gradients()

    def pass_over(self, batches: Sequence[Batch], weights: Sequence[float]) -> Tensor:
        """Forward and backward once, adding to the gradients; ``weights`` are factors on the mean losses.

        Returns ``(len(batches), 2)``: mean loss and number of right answers, on the device, without waiting for it.
        """
        observed = []
        for (inputs, targets), weight in zip(batches, weights, strict=True):
            with self.accelerator.autocast():
                output = self.forward(inputs)
            loss = self.objective.loss(output.float(), targets)
            self.accelerator.backward(loss * weight)
            right = (output.class_logits.detach().argmax(1) == targets.labels).sum()
            observed.append(torch.stack([loss.detach().float(), right]))
        return torch.stack(observed)

    def step(self, batches: Sequence[Batch], weights: Sequence[float]) -> Tensor:
        """Change the weights once; returns what `pass_over` observed before the change."""

        def closure() -> Tensor:
            observed = self.pass_over(batches, weights)
            self._reduce_gradients()
            return observed

        observed = self.update.step(Replayable(closure, [self.model, self.objective]))
        self.average.update()
        return observed

    def gradients(self) -> dict[str, Tensor]:
        """Gradients not yet stepped, copied to the CPU."""
        pairs = ((name, parameter.grad) for name, parameter in self.parameters.items())
        return {name: gradient.to("cpu", copy=True) for name, gradient in pairs if gradient is not None}

    def load_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Continue with what `gradients` returned."""
        for name, gradient in gradients.items():
            self.parameters[name].grad = gradient.to(self.accelerator.device, copy=True)

    def clear_gradients(self) -> None:
        """Forget gradients not yet stepped."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def _reduce_gradients(self) -> None:
        # Once per optimizer step, after accumulation, and exact also where processes have unequal numbers of rows.
        # The trained part is small (a head, adapters): overlapping with the backward pass would gain little.
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                parameter.grad = sum_over_processes(self.accelerator, parameter.grad)
