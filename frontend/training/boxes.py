"""Head values to boxes and the loss on them, in torch; boxes are edges (x0, x1, y0, y1) in pixels of the input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name
from torch import Tensor

from ir.records import YoloHead

LARGEST_EXPONENT = 4.0
"""Sizes are cut at exp(4) anchors while training: 1092 pixels at 20, beyond any box, and no overflow on the way."""


def decode_cells(values: Tensor, head: YoloHead) -> tuple[Tensor, Tensor]:
    """Every cell's box and confidence: [N, anchors * 6, H, W] -> boxes [N, H, W, 4], mean confidence logits [N, H, W].

    The mean over the anchors is taken of the decoded boxes, not of the logits, as the deployed decode does.
    """
    n, _, rows, columns = values.shape
    t = values.view(n, head.anchors, 6, rows, columns)
    x, y = torch.arange(columns).to(values), torch.arange(rows).to(values)
    centre_x = (torch.sigmoid(t[:, :, 0]).mean(1) + x) * head.stride
    centre_y = (torch.sigmoid(t[:, :, 1]).mean(1) + y[:, None]) * head.stride
    half = torch.exp(t[:, :, 2:4].clamp(max=LARGEST_EXPONENT)).mean(1) * (head.anchor_size / 2)
    w, h = half[:, 0], half[:, 1]
    boxes = torch.stack((centre_x - w, centre_x + w, centre_y - h, centre_y + h), dim=-1)
    return boxes, t[:, :, 4].mean(1)


def decode(values: Tensor, head: YoloHead) -> tuple[Tensor, Tensor]:
    """The box [N, 4] of each picture's most confident cell, and that confidence [N], 0 to 1."""
    boxes, confidence = decode_cells(values, head)
    best = confidence.flatten(1).argmax(1)
    every = torch.arange(len(values))
    return boxes.flatten(1, 2)[every, best], torch.sigmoid(confidence.flatten(1)[every, best])


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., arXiv:1902.09630) of boxes [..., 4], in [0, 1] and [-1, 1]."""
    low, high = torch.maximum(a[..., ::2], b[..., ::2]), torch.minimum(a[..., 1::2], b[..., 1::2])
    hull = (torch.maximum(a[..., 1::2], b[..., 1::2]) - torch.minimum(a[..., ::2], b[..., ::2])).prod(-1)
    common = (high - low).clamp(min=0).prod(-1)
    union = (a[..., 1::2] - a[..., ::2]).prod(-1) + (b[..., 1::2] - b[..., ::2]).prod(-1) - common
    iou = common / union
    return iou, iou - (hull - union) / hull


@dataclass(frozen=True)
class LossTerms:
    """Means over the batch; `iou` (of the target's own cell) is for display only."""

    box: Tensor
    size: Tensor
    place: Tensor
    objectness: Tensor
    iou: Tensor

    @property
    def total(self) -> Tensor:
        return 2.0 * self.box + self.size + self.place + self.objectness


def detection_loss(values: Tensor, targets: Tensor, head: YoloHead) -> LossTerms:
    """Loss of one target box [N, 4] per picture on head values [N, anchors * 6, H, W].

    `box` is 1 - GIoU and `size` the L1 distance of log sizes, on the target's cell and, with a quarter of the weight,
    on its eight neighbours, which may win the argmax; `place` is the cross-entropy of the confidences over all cells
    (what the argmax needs), `objectness` their binary cross-entropy (what makes a confidence a probability).
    """
    boxes, confidence = decode_cells(values, head)
    n, rows, columns = confidence.shape
    centre = torch.stack((targets[:, :2].mean(1), targets[:, 2:].mean(1)), dim=1) / head.stride
    column, row = centre.floor().long().unbind(1)
    column, row = column.clamp(0, columns - 1), row.clamp(0, rows - 1)
    near_x = (torch.arange(columns) - column[:, None]).abs() <= 1
    near_y = (torch.arange(rows) - row[:, None]).abs() <= 1
    weight = 0.25 * (near_y[:, :, None] & near_x[:, None, :]).float()
    own = torch.zeros_like(weight)
    own[torch.arange(n), row, column] = 1.0
    weight = torch.maximum(weight, own)

    expected = targets[:, None, None].expand_as(boxes)
    iou, giou = overlap(boxes, expected)
    ratio = torch.log((boxes[..., 1::2] - boxes[..., ::2]) / (expected[..., 1::2] - expected[..., ::2]))
    cell = row * columns + column
    return LossTerms(
        box=(weight * (1 - giou)).sum() / weight.sum(),
        size=(weight * ratio.abs().mean(-1)).sum() / weight.sum(),
        place=F.cross_entropy(confidence.flatten(1), cell),
        # Neighbours of the target are neither objects nor background.
        objectness=F.binary_cross_entropy_with_logits(
            confidence, own, weight=own + (weight == 0).float(), reduction="sum"
        )
        / n
        * 0.2,
        iou=(iou.detach() * own).sum() / n,
    )
