"""Pictures in segments: the door, features by hand, adjacency, `rnnsim parse` on a picture, wrong input."""

import io
import json
import statistics
import struct
import sys
import zlib

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image
from test_tasks import write_treebank

from rnnsim import plotting
from rnnsim.core.reading import is_picture, read_npz, read_picture
from rnnsim.core.segments import Parses
from rnnsim.data import pictures
from rnnsim.data.pictures import FEATURES, SegmentedPicture, region_features, segment_features, touching
from rnnsim.data.regions import read_regions
from rnnsim.errors import RnnsimError
from rnnsim.plotting import canvas
from rnnsim.plotting.pictures import class_colours
from rnnsim.tasks import TASKS, Scenes

NAMES = ("brickface", "sky", "foliage", "cement", "window", "path", "grass")


# -- the door ----------------------------------------------------------------------------------------------------------


def saved(path, picture, **options):
    picture.save(path, **options)
    return path


def test_pictures_of_every_mode(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    plain = Image.fromarray(colours)
    assert np.array_equal(read_picture(saved(tmp_path / "a.png", plain)), colours)
    grey = plain.convert("L")
    for picture in (grey, grey.convert("LA"), grey.convert("P")):
        assert np.array_equal(
            read_picture(saved(tmp_path / "b.png", picture)), np.repeat(np.array(grey)[..., None], 3, 2)
        )
    # Transparent pixels lie on white; the hidden colour does not show.
    clear = np.concatenate([colours, np.full((5, 4, 1), 255, np.uint8)], axis=2)
    clear[1, 2, 3] = 0
    found = read_picture(saved(tmp_path / "c.png", Image.fromarray(clear)))
    assert found[1, 2].tolist() == [255, 255, 255] and np.array_equal(found[0], colours[0])
    # A camera that was held upright notes so: orientation 6 is turned by a quarter to the right.
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read_picture(saved(tmp_path / "d.png", plain, exif=exif))
    assert np.array_equal(turned, np.rot90(colours, -1))
    flat = np.full((16, 16, 3), [200, 100, 50], np.uint8)
    assert np.abs(read_picture(saved(tmp_path / "e.jpg", Image.fromarray(flat))).astype(int) - flat).max() <= 3
    assert is_picture(tmp_path / "a.png") and is_picture(tmp_path / "e.jpg")


def header(width, height):
    """A PNG that claims such a size and has no pixels."""
    made = b"\x89PNG\r\n\x1a\n"
    for chunk in (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT"):
        made += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return made


def test_what_is_no_picture_is_one_line(tmp_path):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3)).astype(np.uint8))
    whole = io.BytesIO()
    noise.save(whole, "PNG")
    deep = io.BytesIO()
    Image.fromarray(np.arange(16, dtype=np.uint16).reshape(4, 4)).save(deep, "PNG")
    film = io.BytesIO()
    noise.save(film, "GIF")
    for data, message in (
        (b"", "expected a PNG or JPEG picture, it begins with nothing"),
        (b"the cat sat\n", "expected a PNG or JPEG picture, it begins with 746865206361"),
        (film.getvalue(), "expected a PNG or JPEG picture, it begins with 474946383761"),
        (whole.getvalue()[:2000], "damaged or cut short"),
        (whole.getvalue()[:20], "damaged or cut short"),
        (b"\xff\xd8\xff" + bytes(50), "damaged or cut short"),
        (header(8000, 8000), "8,000 x 8,000 pixels, expected at most 33,554,432"),
        (header(100_000, 100_000), "more than 33,554,432 pixels"),  # Pillow itself refuses this one
        (deep.getvalue(), "pixels of type I;16, expected 8 bits a value"),
    ):
        path = tmp_path / "a.png"
        path.write_bytes(data)
        with pytest.raises(RnnsimError) as caught:
            read_picture(path)
        assert message in str(caught.value) and "\n" not in str(caught.value), str(caught.value)
    with pytest.raises(RnnsimError, match="Is a directory"):
        read_picture(tmp_path)
    with pytest.raises(RnnsimError, match="No such file"):
        is_picture(tmp_path / "none.png")


# -- features ----------------------------------------------------------------------------------------------------------


def by_hand(block):
    """The features of one 3x3 region, pixel by pixel, but its line densities."""
    pixels = [block[y, x] for y in range(3) for x in range(3)]
    light = [[sum(block[y, x]) / 3 for x in range(3)] for y in range(3)]
    across = [abs(light[y][x] - light[y][x + 1]) for y in range(3) for x in range(2)]
    down = [abs(light[y][x] - light[y + 1][x]) for y in range(2) for x in range(3)]
    mean, found = statistics.fmean, {}
    for letter, differences in (("v", across), ("h", down)):
        found[f"{letter}edge-mean"] = mean(differences)
        found["vegde-sd" if letter == "v" else "hedge-sd"] = statistics.variance(differences)
    found["intensity-mean"] = mean(sum(p) / 3 for p in pixels)
    for k, name in enumerate(("red", "green", "blue")):
        found[f"raw{name}-mean"] = mean(p[k] for p in pixels)
        found[f"ex{name}-mean"] = mean(3 * p[k] - sum(p) for p in pixels)
    found["value-mean"] = mean(max(p) for p in pixels)
    found["saturation-mean"] = mean((max(p) - min(p)) / max(p) if max(p) else 0 for p in pixels)
    return found


def test_features_of_a_region():
    colours = np.random.default_rng(2).integers(0, 150, (3, 3, 3)).astype(np.float64)
    colours[0, 0] = 0  # black has no saturation and no hue
    found = dict(zip(FEATURES, region_features(colours)[1, 1]))
    expected = by_hand(colours)
    assert set(found) - set(expected) == {"short-line-density-5", "short-line-density-2", "hue-mean"}
    assert {name: pytest.approx(found[name]) for name in expected} == expected


def test_features_agree_with_a_region_of_the_data():
    """A flat region whose means are those of the file: its row says value, saturation, hue and the excess colours."""
    red, blue, green = 115.111, 142.222, 121.333  # sky: 126.222 -33.3333 48 -14.6667 142.222 0.190625 -2.33375
    found = dict(zip(FEATURES, region_features(np.full((3, 3, 3), [red, green, blue]))[1, 1]))
    row = (126.222, -33.3333, 48, -14.6667, 142.222, 0.190625, -2.33375)
    names = ("intensity-mean", "exred-mean", "exblue-mean", "exgreen-mean", "value-mean", "saturation-mean", "hue-mean")
    # The file has means of nine pixels that are nearly the same.
    assert [found[name] for name in names] == pytest.approx(row, rel=2e-3)


@pytest.mark.parametrize(
    "colour, hue",
    [((9, 0, 0), 0), ((0, 9, 0), 2 * np.pi / 3), ((0, 0, 9), -2 * np.pi / 3), ((9, 0, 9), -np.pi / 3), ((5, 5, 5), 0)],
)
def test_hues(colour, hue):
    assert region_features(np.full((3, 3, 3), colour, float))[1, 1, -1] == pytest.approx(hue)


def test_hues_are_directions():
    """Cyan has the angle pi: the mean of two hues at its sides is cyan, not red."""
    colours = np.full((4, 4, 3), [0, 100, 90], float)
    colours[:, ::2] = [0, 90, 100]
    assert abs(segment_features(colours, np.zeros((4, 4), int))[0, -1]) == pytest.approx(np.pi, abs=0.05)


def test_a_segment_shows_the_regions_inside_it():
    colours = np.zeros((6, 9, 3))
    colours[:, 3:6], colours[:, 6:] = 60, [0, 0, 90]
    labels = np.repeat([0, 0, 0, 1, 1, 1, 2, 2, 3], 6).reshape(9, 6).T  # the last two are too narrow to hold a region
    found = segment_features(colours, labels)
    column = FEATURES.index("intensity-mean"), FEATURES.index("vedge-mean")
    assert found[:, column[0]].tolist() == pytest.approx([0, 60, 35, 30])
    assert found[:, column[1]].tolist() == pytest.approx([0, 0, 30 / 4, 0])
    assert touching(labels).tolist() == [[0, 1], [1, 2], [2, 3]]


# -- segments ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A picture of four patches with some noise, regions with the columns of Weka's files, and a treebank."""
    made = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(4)
    tones = rng.integers(40, 220, (2, 2, 3)).repeat(150, axis=0).repeat(200, axis=1)
    noisy = np.clip(tones + rng.normal(0, 6, tones.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(made / "patches.png")
    for name, count in (("segment-challenge.arff", 140), ("segment-test.arff", 70)):
        lines = ["@relation r", *(f"@attribute {column} numeric" for column in ("region-centroid-col", *FEATURES))]
        lines += ["@attribute class {" + ",".join(NAMES) + "}", "@data"]
        for k in range(count):
            values = rng.normal(30 + 5 * (k % 7), 9, len(FEATURES))
            lines.append(",".join(map(str, [k, *values.round(3), NAMES[k % 7]])))
        (made / name).write_text("\n".join(lines))
    write_treebank(made, rng)
    return made


def test_a_picture_becomes_a_graph(folder):
    pytest.importorskip("skimage")
    task = Scenes(path=str(folder))
    picture, graph = task.read_picture(folder / "patches.png", 30)
    assert picture.shape == (300, 400) and picture.labels.shape == (192, 256) == picture.pixels.shape[:2]
    count = len(picture.features)
    assert 15 <= count <= 45 and np.array_equal(np.unique(picture.labels), np.arange(count))
    assert graph.size == 1 and graph.work == count and (graph.targets == -1).all()
    assert np.array_equal(graph.edges, touching(picture.labels))
    regions = task._pools["training"][0].mean(axis=0)
    assert np.allclose(regions, 0, atol=1e-5)  # pictures are standardised as the regions are
    (training, _), kept = read_regions(folder), np.arange(140) % 5 != 4
    fitted = training.features[kept][:, 1:]
    assert np.allclose(graph.inputs, (picture.features - fitted.mean(0)) / fitted.std(0), rtol=1e-4, atol=1e-4)
    # Each of the four patches is cut by itself.
    full = picture.full_labels()
    assert full.shape == (300, 400)
    quarters = [set(np.unique(full[y : y + 140, x : x + 190])) for y in (0, 160) for x in (0, 210)]
    assert all(not one & other for k, one in enumerate(quarters) for other in quarters[:k])


def test_wrong_pictures(folder, tmp_path, monkeypatch):
    pytest.importorskip("skimage")
    task, path = Scenes(path=str(folder)), folder / "patches.png"
    tiny = saved(tmp_path / "tiny.png", Image.new("RGB", (2, 9)))
    thin = saved(tmp_path / "thin.png", Image.new("RGB", (2000, 4)))
    for arguments, message in (
        ((path, 0), "segments=0: expected a value of at least 1"),
        ((path, 1025), "segments=1025: expected at most 1024"),
        ((tiny, 5), "tiny.png: 2 x 9 pixels, expected at least 3 x 3"),
        ((thin, 5), "thin.png: 2000 x 4 pixels, expected at least 3 x 3"),
    ):
        with pytest.raises(RnnsimError, match=message):
            task.read_picture(*arguments)
    picture, graph = task.read_picture(saved(tmp_path / "flat.png", Image.new("RGB", (3, 3))), 1)
    assert graph.work == 1 and picture.edges.shape == (0, 2)
    with pytest.raises(RnnsimError, match="the task reads no pictures"):
        TASKS.build("formulas").read_picture(path, 5)
    task.input_names = ("tone", "hue-mean")
    with pytest.raises(RnnsimError, match="tone: features of these regions that no picture has"):
        task.read_picture(path, 5)
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(RnnsimError, match=r'scikit-image: pip install "rnnsim\[pictures\]"'):
        pictures.segment_picture(path)


# -- drawing -----------------------------------------------------------------------------------------------------------


def strip():
    """A picture of three columns of pixels, a segment each."""
    labels = np.repeat([[0, 1, 2]], 4, axis=0).repeat(2, axis=1).astype(np.int32)
    pixels = np.full((4, 6, 3), 128, np.uint8)
    return SegmentedPicture(pixels, labels, np.zeros((3, 16)), touching(labels), (4, 6))


def test_drawings_of_a_picture(tmp_path, monkeypatch):
    figures, save = [], canvas.save
    monkeypatch.setattr(canvas, "save", lambda made, path: (figures.append(made), save(made, path))[1])
    parses = Parses(np.array([[1, 2], [0, 3]], np.int32), np.array([2.0, 1.0]), np.array([0, 2]))
    classes = np.array([1, 6, 6])
    for path in (
        plotting.segmentation(strip(), classes, NAMES, tmp_path / "a.png", "strip"),
        plotting.merge_tree(strip(), parses, classes, NAMES, tmp_path / "b.png", "strip"),
    ):
        assert imread(path)[..., :3].std() > 0.02
    first, second = figures
    legend = [text.get_text() for text in first.axes[1].get_legend().get_texts()]
    assert legend == ["sky 33 %", "grass 67 %"]
    # Inside a segment, away from its border, three quarters of the class colour and a quarter of the grey of the picture.
    shown = first.axes[1].images[0].get_array()
    wanted = 0.75 * class_colours(NAMES)[classes] + 0.25 * 128 / 255
    assert np.allclose(shown[0, ::2], wanted)
    order = second.axes[1].images[0].get_array()
    assert np.array_equal(order[0, 2], order[0, 4]) and not np.array_equal(order[0, 0], order[0, 2])
    # On the picture: centres of segments at columns 0.5, 2.5, 4.5; of the first merge 3.5, of the second 2.5.
    lines = [line[:, 0].tolist() for line in second.axes[0].collections[0].get_segments()]
    assert lines == [[3.5, 2.5], [3.5, 4.5], [2.5, 0.5], [2.5, 3.5]]
    alone = SegmentedPicture(np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3), np.int32), None, None, (3, 3))
    none = Parses(np.zeros((0, 2), np.int32), np.zeros(0), np.array([0, 0]))
    assert plotting.merge_tree(alone, none, np.array([2]), NAMES, tmp_path / "c.png").exists()
    with pytest.raises(RnnsimError, match="parses: 0 merges, expected 2 of 3 segments"):
        plotting.merge_tree(strip(), none, classes, NAMES, tmp_path / "d.png")
    with pytest.raises(RnnsimError, match="classes: 2 of 3 segments"):
        plotting.segmentation(strip(), classes[:2], NAMES, tmp_path / "d.png")
    assert class_colours(["sky", "a", "b"]).shape == (3, 3)


# -- the shell ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(folder):
    """{task: a run of it}."""
    from rnnsim_cli.main import main

    made = {}
    for task in ("scenes", "bracketing"):
        made[task] = folder / f"run-{task}"
        options = ["-o", f"path={folder}", "-o", "hidden=5", "-o", "score=true", "-o", "leaves=own"]
        with pytest.raises(SystemExit) as end:
            main(
                ["train", task, "--network", "rnn-tree", *options, "--rule", "max-margin", "--optimizer", "adam"]
                + ["--steps", "2", "--batch", "4", "--out", str(made[task]), "--quiet", "--no-figures"]
            )
        assert end.value.code == 0
    return made


def test_parse_a_picture(folder, runs, ok, tmp_path):
    pytest.importorskip("skimage")
    found = ok("parse", runs["scenes"], folder / "patches.png", "--segments", 20, "--out", tmp_path / "new", "--json")
    names = ["labels.png", "merges.png", "labels.npz", "labels.json"]
    assert found["files"] == [str(tmp_path / "new" / f"patches-{name}") for name in names]
    arrays, tree = read_npz(found["files"][2]), json.loads((tmp_path / "new" / "patches-labels.json").read_text())
    segments, classes = arrays["segments"], arrays["classes"]
    assert segments.shape == classes.shape == (300, 400)
    assert np.array_equal(np.array(tree["segment_classes"])[segments], classes)
    assert tree["class_names"] == list(NAMES) and len(tree["merges"]) == len(tree["scores"]) == found["segments"] - 1
    assert sorted(node for pair in tree["merges"] for node in pair) == list(range(2 * found["segments"] - 2))
    assert sum(row["segments"] for row in found["classes"]) == found["segments"]
    assert sum(row["share"] for row in found["classes"]) == pytest.approx(1)
    shares = {row["class"]: row["share"] for row in found["classes"]}
    assert shares == pytest.approx({NAMES[k]: (classes == k).mean() for k in np.unique(classes)}, abs=0.02)
    for name in names[:2]:
        assert imread(tmp_path / "new" / f"patches-{name}")[..., :3].std() > 0.02
    again = ["parse", runs["scenes"], folder / "patches.png", "--segments", 20, "--out", tmp_path / "beam"]
    ok(*again, "--search", "beam", "--width", 1)
    # A beam of one makes the merge with the best sum of scores so far: the greedy one.
    assert json.loads((tmp_path / "beam" / "patches-labels.json").read_text())["merges"] == tree["merges"]
    text = ok("parse", runs["scenes"], folder / "patches.png")
    assert text.startswith("class ") and (runs["scenes"] / "figures" / "patches-merges.png").exists()


def test_refusals_of_parse(folder, runs, shell, tmp_path):
    pytest.importorskip("skimage")
    words = tmp_path / "words.txt"
    words.write_text("the cat sat\n")
    scenes, sentences, picture = runs["scenes"], runs["bracketing"], folder / "patches.png"
    for arguments, message in (
        ((scenes, words), "words.txt: expected a PNG or JPEG picture, it begins with 746865206361"),
        ((scenes, tmp_path), "Is a directory"),
        ((scenes, picture, "--scores"), "--scores: it is for sentences"),
        ((scenes, picture, "--segments", 0), "segments=0: expected a value of at least 1"),
        ((scenes, picture, "--out", words), "words.txt"),
        ((scenes, picture, "--search", "chart"), "search=chart: it parses chains (sentences)"),
        ((sentences, picture), "patches.png: a picture, which the task bracketing does not read"),
        (
            (sentences, words, "--segments", 9),
            "--segments: it is for pictures, which the task bracketing does not read",
        ),
        ((sentences, words, "--out", tmp_path), "--out: it is for pictures, which the task bracketing does not read"),
    ):
        code, out, error = shell("parse", *arguments)
        assert code != 0 and not out and message in error and error.count("\n") == 1, error


def test_a_run_of_another_task_parses_neither(trained, folder, shell, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("the cat sat\n")
    assert "a picture, which the task digits does not read" in shell("parse", trained, folder / "patches.png")[2]
    assert "the task reads no sentences" in shell("parse", trained, words)[2]
