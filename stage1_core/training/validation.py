"""Scores and loss of the SELECT_MODEL rows, shared out over the processes."""

from __future__ import annotations

from typing import Literal

import torch

from stage1_core.model.classifier import evaluating, to_scores
from stage1_core.model.head import HeadOutput
from stage1_core.predictions import Scores
from stage1_core.training.execution import sum_over_processes
from stage1_core.training.learner import Learner
from stage1_core.training.rows import Rows, sequential_plan


def validate(
    learner: Learner, rows: Rows, batch_size: int, loss_average: Literal["rows", "batches"], epoch: int
) -> tuple[Scores, float]:
    """Scores in the order of ``rows``, and the objective's mean over rows or batches, with the weights as they are."""
    accelerator, n = learner.accelerator, len(rows.labels)
    plan = sequential_plan(n, batch_size)
    share = plan[accelerator.process_index :: accelerator.num_processes]
    # columns: class logits, gate logit, auxiliary logits; every process fills its rows and leaves the others 0
    table = torch.zeros(n, 5, device=accelerator.device)
    total = torch.zeros((), device=accelerator.device)
    gated = False
    learner.objective.eval()
    with evaluating(learner.model), torch.no_grad():
        for positions, (inputs, targets) in zip(share, rows.batches(share, epoch=epoch), strict=True):
            inputs, targets = learner.place(inputs, targets)
            with accelerator.autocast():
                raw = learner.forward(inputs)
            output = raw.float()
            weight = len(positions) if loss_average == "rows" else 1
            total += weight * learner.objective.loss(output, targets)
            where = slice(int(positions[0]), int(positions[-1]) + 1)
            table[where, :2] = output.class_logits
            if output.gate_logits is not None:
                gated = True
                table[where, 2], table[where, 3:] = output.gated()
    table, total = sum_over_processes(accelerator, table), sum_over_processes(accelerator, total)
    output = HeadOutput(table[:, :2], table[:, 2], table[:, 3:]) if gated else HeadOutput(table[:, :2])
    loss = float(total) / (n if loss_average == "rows" else len(plan))
    return to_scores(rows.ids, output), loss
