"""Photo to input, output to box: against golden data made by other programs, and by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from host.errors import InputError
from host.vision.draw import draw
from host.vision.heads import Classification, Detection, decode, dequantise
from host.vision.picture import load_photo, network_input, picture_of_input
from ir.records import AnchorHead, ClassifierHead, Dequantise, ObjectsHead, Picture, PictureHead, YoloHead
from ir.resize import resize_bilinear

ULTRANET = Picture(320, 160, "bgr")


@pytest.mark.parametrize(("photo", "index"), [("000.jpg", 0), ("005.jpg", 5)])
def test_input_equals_golden(shared_data: Path, photo: str, index: int) -> None:
    golden = np.load(shared_data / "golden" / "ultranet_first8.npz")["img_bgr_160x320"][index]
    values = network_input(load_photo(shared_data / "dacsdc" / "photos" / photo), ULTRANET)
    difference = np.abs(values.transpose(1, 2, 0).astype(int) - golden)
    assert difference.max() <= 1  # JPEG decoders differ between versions
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("network", ["ultranet_first8", "ultranet_bypass_first8"])
def test_boxes_equal_golden(shared_data: Path, network: str) -> None:
    golden = np.load(shared_data / "golden" / f"{network}.npz")
    record = Dequantise(1 / (7 * 15), tuple(golden["last_bias"]))
    for raw, expected in zip(golden["raw_int32_36x10x20"], golden["box_xmin_xmax_ymin_ymax"], strict=True):
        (found,) = decode(YoloHead(("object",)), dequantise(raw, record), (640, 360), ULTRANET)
        assert isinstance(found, Detection)
        xmin, ymin, xmax, ymax = found.box
        assert [int(xmin), int(xmax), int(ymin), int(ymax)] == expected.tolist()  # golden boxes are cut to integers
        assert 0 < found.score < 1


def test_resize_by_hand() -> None:
    """One row: 4 -> 2 takes means of pairs; 2 -> 4 the weights 1/4 and 3/4 with the edge repeated."""
    row = np.array([[[0], [100], [50], [255]]], np.uint8)
    assert resize_bilinear(row, 2, 1).ravel().tolist() == [50, 153]  # 152.5 rounds up
    assert resize_bilinear(row[:, :2], 4, 1).ravel().tolist() == [0, 25, 75, 100]
    assert resize_bilinear(row.transpose(1, 0, 2), 1, 2).ravel().tolist() == [50, 153]


def test_resize_is_close_to_exact_interpolation() -> None:
    """Within one level of the real-valued formula, at sizes that are no multiples of each other."""
    random = np.random.default_rng(3)
    for _ in range(20):
        height, width, new_height, new_width = random.integers(1, 60, 4)
        picture = random.integers(0, 256, (height, width, 3), np.uint8)

        def matrix(source: int, target: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
            result = np.zeros((target, source))
            for i in range(target):
                place = min(max((i + 0.5) * source / target - 0.5, 0), source - 1)
                first = int(place)
                result[i, first] += 1 - (place - first)
                result[i, min(first + 1, source - 1)] += place - first
            return result

        exact = np.einsum("yh,hwc,xw->yxc", matrix(height, new_height), picture, matrix(width, new_width))
        found = resize_bilinear(picture, int(new_width), int(new_height))
        assert np.abs(found - exact).max() < 1


def test_size_stays_and_order_turns(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (160, 320, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(network_input(photo, ULTRANET), pixels.transpose(2, 0, 1)[::-1])
    np.testing.assert_array_equal(network_input(photo, Picture(320, 160, "rgb")), pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(np.asarray(picture_of_input(network_input(photo, ULTRANET), ULTRANET)), pixels)


def test_exif_orientation_is_obeyed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.new("RGB", (30, 10), "red").save(tmp_path / "turned.jpg", exif=exif)
    assert load_photo(tmp_path / "turned.jpg").size == (10, 30)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_photo_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    Image.new(mode, (8, 8)).save(path)
    assert load_photo(path).mode == "RGB"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_a_file_that_is_no_picture(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad.jpg") as caught:
        load_photo(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_picture(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut.png: cannot be read"):
        load_photo(path)


def test_boxes_are_clipped_to_the_photo() -> None:
    values = np.zeros((36, 10, 20))
    values[2::6] = values[3::6] = 1000.0  # exp overflows
    (found,) = decode(YoloHead(("object",)), values, (640, 360), ULTRANET)
    assert isinstance(found, Detection)
    assert found.box == (0.0, 0.0, 640.0, 360.0)
    assert found.score == 0.5


def test_classes_by_softmax() -> None:
    raw = np.array([0, 10, 20, 0, 0, -10000], np.int64).reshape(6, 1, 1)
    values = dequantise(raw, Dequantise(0.1, (0.0, 0.0, 0.0, 0.0, 1.0, 0.0)))
    found = decode(ClassifierHead(tuple("abcdef")), values, (1, 1), None)
    assert all(isinstance(one, Classification) for one in found)
    assert [one.label for one in found] == ["c", "b", "e", "a", "d"]
    total = np.exp([0, 1, 2, 0, 1, -1000]).sum()
    np.testing.assert_allclose([one.score for one in found], np.exp([2, 1, 1, 0, 0]) / total, rtol=1e-12)


@pytest.mark.parametrize("ground", ["black", "white"])
@pytest.mark.parametrize("box", [(200, 100, 300, 200), (0, 0, 640, 360), (630, 0, 640, 5), (0, 350, 0, 360)])
def test_boxes_show_on_any_ground(ground: str, box: tuple[float, float, float, float]) -> None:
    photo = Image.new("RGB", (640, 360), ground)
    drawn = draw(photo, (Detection(box, 0.87, "drone"),))
    assert drawn.size == photo.size
    changed = np.abs(np.asarray(drawn, int) - np.asarray(photo, int)).max(axis=2) > 128
    rows, columns = np.nonzero(changed)
    # Line and label lie around the box, at most a label's height and width away.
    assert rows.size > 100
    assert rows.min() >= max(0, box[1] - 40)
    assert rows.max() <= min(359, max(box[3], box[1] + 40) + 8)
    assert columns.max() <= min(639, max(box[2], box[0] + 160) + 8)
    inside = changed[int(box[1]) + 40 : int(box[3]) - 8, int(box[0]) + 8 : int(box[2]) - 8]
    assert not inside.any()


def test_small_photos_are_enlarged_for_the_panel() -> None:
    drawn = draw(Image.new("RGB", (32, 32)), (Classification(0.9, "cat"), Classification(0.1, "dog")))
    assert drawn.width == 256
    assert drawn.height > 256


def test_anchors_of_different_sizes() -> None:
    """The most confident cell of the most confident anchor, by hand: centre (2.5, 1.5) cells, 2 x 1 cells large."""
    head = AnchorHead(("target",), widths=(1.0, 2.0), heights=(3.0, 1.0), stride=8)
    values = np.zeros((10, 4, 6))
    values[4, 3, 5], values[9, 1, 2] = 1.0, 3.0
    (found,) = decode(head, values, (96, 64), Picture(48, 32, "rgb"))
    assert isinstance(found, Detection) and found.label == "target"
    assert found.box == pytest.approx((2 * (20 - 8), 2 * (12 - 4), 2 * (20 + 8), 2 * (12 + 4)))
    assert found.score == pytest.approx(1 / (1 + np.exp(-3.0)))


def _objects(**values: object) -> tuple[ObjectsHead, np.ndarray]:
    """A head of two anchors and two labels on a 2x3 grid with nothing in it."""
    head = ObjectsHead(("cat", "dog"), (1.0, 2.0), (1.0, 2.0), 16, **values)  # type: ignore[arg-type]
    empty = np.zeros((2, 7, 2, 3))
    empty[:, 4] = -20.0
    return head, empty


@pytest.mark.parametrize("shares", ["softmax", "sigmoid"])
def test_many_objects(shares: str) -> None:
    """By hand: scores, the box in its cell, suppression within a label only, the best first."""
    head, grid = _objects(shares=shares)
    picture = Picture(48, 32, "rgb")
    grid[0, :, 1, 2] = (0, 0, 0, 0, 20, 20, -20)  # a cat, 16x16 around (40, 24)
    grid[1, :, 1, 2] = (0, 0, np.log(0.5), np.log(0.5), 1, 20, -20)  # the same box, less sure
    grid[1, :, 0, 0] = (0, 0, np.log(0.5), np.log(0.5), 0, 20, -20)  # another cat, around (8, 8)
    grid[0, :, 0, 0] = (0, 0, 0, 0, 0.5, -20, 20)  # a dog, in the same place
    found = decode(head, grid.reshape(14, 2, 3), (96, 64), picture)
    assert [(d.label, round(d.score, 4)) for d in found] == [("cat", 1.0), ("dog", 0.6225), ("cat", 0.5)]
    assert found[0].box == pytest.approx((64, 32, 96, 64)) and found[2].box == pytest.approx((0, 0, 32, 32))
    assert decode(replace(head, least=0.7), grid.reshape(14, 2, 3), (96, 64), picture) == found[:1]
    both = decode(replace(head, overlap=1.0), grid.reshape(14, 2, 3), (96, 64), picture)
    assert [d.label for d in both] == ["cat", "cat", "dog", "cat"]
    assert decode(replace(head, most=2), grid.reshape(14, 2, 3), (96, 64), picture) == found[:2]


def test_suppression_against_pairs() -> None:
    """Random boxes: no two that were found overlap too much, and whatever is missing overlaps a better one."""
    rng, picture = np.random.default_rng(4), Picture(160, 96, "rgb")
    head = ObjectsHead(("thing",), (1.0, 2.5, 4.0), (2.0, 1.0, 4.0), 16, "sigmoid", least=0.3, overlap=0.4)
    values = rng.normal(0, 1, (18, 6, 10))
    found = decode(head, values, (160, 96), picture)
    every = decode(replace(head, overlap=1.0, most=1000), values, (160, 96), picture)
    assert 5 < len(found) < len(every)
    for first, second in combinations(found, 2):
        assert overlap(first.box, second.box) <= 0.4
    for each in every:
        assert each in found or any(overlap(each.box, f.box) > 0.4 and f.score >= each.score for f in found)


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union by counting a fine raster."""
    y, x = (np.arange(0.125, n, 0.25) for n in (96, 160))
    inside = [((x > v[0]) & (x < v[2]))[None, :] & ((y > v[1]) & (y < v[3]))[:, None] for v in (a, b)]
    return float((inside[0] & inside[1]).sum() / max((inside[0] | inside[1]).sum(), 1))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_picture_comes_out(order: str) -> None:
    """Rounded to even, clipped, colours in RGB; drawn as it is."""
    values = np.array([[[0.0, 0.5]], [[1.2, -0.3]], [[10.5 / 255, 11.5 / 255]]])
    found = decode(PictureHead(order), values, (1, 1), None)  # type: ignore[arg-type]
    expected = np.array([[[0, 255, 10], [128, 0, 12]]])
    pixels = expected if order == "rgb" else expected[:, :, ::-1]
    assert np.array_equal(np.asarray(draw(Image.new("RGB", (1, 1)), found)), pixels)
