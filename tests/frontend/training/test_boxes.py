"""Decode against plain numpy and the golden boxes; overlap against hand-computed values; the loss at known points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frontend.training.boxes import decode, detection_loss, overlap
from frontend.zoo.ultranet import HEAD


def decoded_with_loops(values: np.ndarray) -> tuple[float, float, float, float]:
    """The decode as the data's description words it, one number at a time."""
    t = values.reshape(6, 6, *values.shape[1:])
    confidence = t[:, 4].mean(0)
    row, column = np.unravel_index(confidence.argmax(), confidence.shape)
    boxes = []
    for tx, ty, tw, th in t[:, :4, row, column]:
        x = (1 / (1 + np.exp(-tx)) + column) * 16
        y = (1 / (1 + np.exp(-ty)) + row) * 16
        w, h = np.exp(tw) * 20, np.exp(th) * 20
        boxes.append((x - w / 2, x + w / 2, y - h / 2, y + h / 2))
    x0, x1, y0, y1 = np.mean(boxes, axis=0)
    return float(x0), float(x1), float(y0), float(y1)


def test_decode_is_that_of_the_description() -> None:
    values = np.random.default_rng(2).normal(0, 1.2, (5, 36, 10, 20))
    boxes, confidence = decode(torch.from_numpy(values), HEAD)
    np.testing.assert_allclose(boxes.numpy(), [decoded_with_loops(v) for v in values], rtol=1e-10)
    best = values.reshape(5, 6, 6, 200)[:, :, 4].mean(1).max(1)
    np.testing.assert_allclose(confidence.numpy(), 1 / (1 + np.exp(-best)), rtol=1e-10)


@pytest.mark.parametrize("name", ["ultranet", "ultranet_bypass"])
def test_decode_gives_the_golden_boxes(name: str, shared_data: Path) -> None:
    golden = np.load(shared_data / "golden" / f"{name}_first8.npz")
    values = golden["raw_int32_36x10x20"] / 105 + golden["last_bias"][:, None, None]
    boxes, _ = decode(torch.from_numpy(values), HEAD)
    in_photo = boxes.numpy() * (2, 2, 2.25, 2.25)
    assert np.abs(in_photo - golden["box_xmin_xmax_ymin_ymax"]).max() <= 1


def test_overlap_of_known_boxes() -> None:
    square = torch.tensor((0.0, 2.0, 0.0, 2.0))
    others = torch.tensor([(0.0, 2.0, 0.0, 2.0), (1.0, 3.0, 0.0, 2.0), (4.0, 6.0, 0.0, 2.0)])
    iou, giou = overlap(square, others)
    torch.testing.assert_close(iou, torch.tensor([1.0, 1 / 3, 0.0]))
    torch.testing.assert_close(giou, torch.tensor([1.0, 1 / 3, -1 / 3]))


def values_for(box: tuple[float, float, float, float]) -> torch.Tensor:
    """Head values whose decode is `box`, with certain confidences."""
    x, y = (box[0] + box[1]) / 32, (box[2] + box[3]) / 32
    values = torch.zeros(1, 6, 6, 10, 20)
    values[:, :, 4] = -20
    row, column = int(y), int(x)
    t = torch.tensor((x - column, y - row)).logit()
    sizes = torch.tensor(((box[1] - box[0]) / 20, (box[3] - box[2]) / 20)).log()
    values[0, :, :, row, column] = torch.cat((t, sizes, torch.tensor((20.0, 0.0))))
    return values.view(1, 36, 10, 20)


def test_loss_of_the_right_answer_and_of_wrong_ones() -> None:
    box = (101.0, 143.0, 52.0, 79.0)
    target = torch.tensor([box])
    values = values_for(box)
    torch.testing.assert_close(decode(values, HEAD)[0], target)
    right = detection_loss(values, target, HEAD)
    assert right.place < 1e-6
    assert right.objectness < 1e-6
    torch.testing.assert_close(right.iou, torch.tensor(1.0))

    elsewhere = detection_loss(values, target + 64, HEAD)
    assert elsewhere.place > 10
    assert elsewhere.objectness > 1
    larger = detection_loss(values_for((81.0, 163.0, 42.0, 89.0)), target, HEAD)
    assert larger.box > right.box
    assert larger.size > right.size
    assert larger.iou < 0.5


def test_loss_stays_finite_where_sizes_explode() -> None:
    values = torch.full((1, 36, 10, 20), 500.0, requires_grad=True)
    total = detection_loss(values, torch.tensor([(10.0, 60.0, 10.0, 60.0)]), HEAD).total
    (gradient,) = torch.autograd.grad(total, values)
    assert torch.isfinite(total)
    assert torch.isfinite(gradient).all()
