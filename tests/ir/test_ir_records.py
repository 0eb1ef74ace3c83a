"""Head records survive the manifest's JSON, and bad ones are named."""

from __future__ import annotations

import json

import pytest

from ir.records import ClassifierHead, Head, ObjectsHead, PictureHead, YoloHead, head_from_json, head_to_json


@pytest.mark.parametrize(
    "head",
    [
        YoloHead(("target",)),
        YoloHead(("a", "b"), 3, 32, 12.5),
        ClassifierHead(("cat", "dög")),
        ClassifierHead(()),
        ObjectsHead(("a",), (1.5,), (2.0,), 8, "sigmoid"),
        PictureHead("bgr", 127.0),
    ],
)
def test_round_trip(head: Head) -> None:
    text = json.dumps(head_to_json(head))
    assert head_from_json(json.loads(text)) == head


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"kind": "ssd", "labels": []},
            r"head kind 'ssd' is unknown \(allowed: yolo, classifier, anchors, objects, picture\)",
        ),
        ({"labels": []}, "head kind 'None' is unknown"),
        ({"kind": "yolo", "labels": ["a"], "anchor": 3}, "unknown key 'anchor' .*anchors"),
        ({"kind": "classifier"}, "head has no key 'labels'"),
    ],
)
def test_bad_records(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head_from_json(data)
