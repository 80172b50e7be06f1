"""Moving one set of images to another: the command from files to files, and that what it says is true."""

import importlib
import json
import math
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import sklearn.datasets
from PIL import Image
from typer.testing import CliRunner

from asserts import assert_at_most, assert_close, assert_same
from brenier import InputError, Training, TransportMap
from brenier.metrics import sliced_w2

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
HELD_OUT = 360


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """The modules of the example, whose folder is on the path for as long as the tests of this file run."""
    names = ("classifier", "domains", "figure", "files", "measures", "sets", "start", "train", "transport", "vae")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
        yield SimpleNamespace(**{name: importlib.import_module(f"latent_images.{name}") for name in names})


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two sets in the files of MNIST and KMNIST: scikit-learn's digits, and the same lying down in a wider frame."""
    folder = tmp_path_factory.mktemp("data")
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8) * (255 / 16)
    for seed, (name, pixels) in enumerate(
        [("mnist", images), ("kmnist", np.pad(images.transpose(0, 2, 1), [(0, 0), (0, 0), (1, 3)]))]
    ):
        order = np.random.default_rng(seed).permutation(len(images))
        (folder / name).mkdir()
        for part, rows in (("t10k", order[:HELD_OUT]), ("train", order[HELD_OUT:])):
            (folder / name / f"{part}-images-idx3-ubyte").write_bytes(idx(pixels[rows]))
            (folder / name / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels[rows]))
    return folder


@pytest.fixture(scope="module")
def models(example, data, tmp_path_factory) -> Path:
    """Networks of both sets: the autoencoders of a few epochs, and classifiers that are right nine times in ten."""
    folder = tmp_path_factory.mktemp("models")
    for name in (example.sets.Name.mnist, example.sets.Name.kmnist):
        train, _ = example.sets.load_set(name, data=data)
        vae = {"latent": 3, "channels": 8, "hidden": 32, "batch": 32, "epochs": 5, "rate": 1e-2, "counts": 16}
        example.files.save(folder / f"{name}.vae", example.vae.train_vae(*train[:2], **vae))
        judge = {"channels": 8, "width": 8, "batch": 32, "epochs": 5, "rate": 5e-3}
        example.files.save(folder / f"{name}.classifier", example.classifier.train_classifier(*train[:2], **judge))
    return folder


@pytest.fixture(scope="module")
def domains(example, models, data) -> SimpleNamespace:
    names = example.sets.Name
    x, y = (
        example.domains.Domain.load(name, models, data=data, limit=None, seed=0) for name in (names.mnist, names.kmnist)
    )
    return SimpleNamespace(mnist=x, kmnist=y)


def run(example, *words: object, code: int = 0):
    done = CliRunner().invoke(example.transport.app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def ran(example, models, data, tmp_path_factory) -> SimpleNamespace:
    """One run of the command: what it returned and said, and the map as it can be loaded again."""
    folder = tmp_path_factory.mktemp("ran") / "new" / "results"
    words = ("--source", "mnist", "--target", "kmnist", "--models", models, "--data", data, "--output", folder)
    records = []
    print_result = example.transport.print_result
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            example.transport,
            "print_result",
            lambda record, *lines, **options: records.append(record) or print_result(record, *lines, **options),
        )
        done = run(example, *words, "--max-steps", 128, "--seed", 0)
    return SimpleNamespace(
        done=done, folder=folder, record=records[0], map=TransportMap.load(folder / "mnist-kmnist.brenier")
    )


@pytest.fixture(scope="module")
def moved(ran, domains) -> dict[str, SimpleNamespace]:
    """What the saved map makes of the codes to test, in both directions."""
    x, y = domains.mnist.test, domains.kmnist.test
    forth = ran.map.forward(x.codes, x.labels)
    back = ran.map.inverse_with_status(y.codes, y.labels)
    return {
        "forth": SimpleNamespace(codes=forth, source=domains.mnist, target=domains.kmnist),
        "back": SimpleNamespace(codes=back.points, source=domains.kmnist, target=domains.mnist),
    }


def flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), -1).astype(float)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """By the formula, after a rotation that leaves out the directions in which no row differs."""
    both = np.concatenate([a, b]).astype(float)
    _, sizes, basis = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)
    a, b = (part.astype(float) @ basis[sizes > 1e-6 * sizes[0]].T for part in (a, b))
    one, two = np.cov(a.T), np.cov(b.T)
    root = np.real(scipy.linalg.sqrtm(one @ two))
    return np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + np.trace(one + two - 2 * root)


class TestDomain:
    def test_networks_and_images_belong_together(self, domains, data, example) -> None:
        train, test = example.sets.load_set(example.sets.Name.kmnist, data=data)
        domain = domains.kmnist
        assert (domain.name, domain.classes) == ("kmnist", CLASSES)
        for found, part in ((domain.train, train), (domain.test, test)):
            assert_same(found.images, part.images)
            assert_same(found.labels, part.labels)
            assert_same(found.codes, domain.vae.encode(part.images, part.labels))
            assert_same(found.features, domain.classifier.features(part.images))
        # Of use to the tests below: most is recognised, and codes differ.
        assert domain.classifier.accuracy(test.images, test.labels) > 0.8
        assert (domain.test.codes.std(axis=0) > 0.3).sum() >= 2

    def test_rows_stay_together(self, domains) -> None:
        cloud, chosen = domains.mnist.test, np.array([5, 0, 5])
        for found, whole in zip(cloud.rows(chosen), cloud, strict=True):
            assert_same(found, whole[chosen])
        only = cloud.rows(cloud.labels == 3)
        assert set(only.labels) == {3}
        assert len(only.images) == len(only.codes) == np.sum(cloud.labels == 3)

    def test_decoded_codes_have_images_and_their_features(self, domains) -> None:
        codes, labels = domains.mnist.test.codes[:7].astype(float), np.arange(7)
        found = domains.mnist.decoded(codes, labels)
        assert_same(found.images, domains.mnist.vae.decode(codes, labels))
        assert_same(found.features, domains.mnist.classifier.features(found.images))
        assert_same(found.codes, codes.astype(np.float32))
        assert_same(found.labels, labels)


class TestCommand:
    def test_writes_one_map_and_two_pictures_and_nothing_else(self, ran, models) -> None:
        names = ["kmnist-to-mnist.png", "mnist-kmnist.brenier", "mnist-to-kmnist.png"]
        assert sorted(path.name for path in ran.folder.iterdir()) == names
        files = {"map": names[1], "mnist to kmnist": names[2], "kmnist to mnist": names[0]}
        assert ran.record["files"] == {role: str(ran.folder / name) for role, name in files.items()}
        assert len(list(models.iterdir())) == 4
        assert ran.done.stderr.splitlines() == [
            "fitting 1,437 codes to 1,437",
            "moving 360 images of mnist to kmnist",
            "moving 360 images of kmnist to mnist",
        ]
        for path in ran.record["files"].values():
            assert f"Wrote             {path}\n" in ran.done.stdout

    def test_record_is_json(self, ran) -> None:
        assert json.loads(json.dumps(ran.record, allow_nan=False)).keys() == {
            *("steps", "gaussian", "seconds", "directions", "files")
        }
        assert ran.record["steps"] == 128
        assert ran.record["gaussian"] is False
        assert ran.record["seconds"] > 0
        ends = [(found["source"], found["target"]) for found in ran.record["directions"]]
        assert ends == [("mnist", "kmnist"), ("kmnist", "mnist")]
        for found in ran.record["directions"]:
            assert found["inception"] is None
            assert found["inception_itself"] is None

    @pytest.mark.parametrize(("number", "way"), [(0, "forth"), (1, "back")])
    def test_measures_are_true(self, number, way, ran, moved) -> None:
        record, case = ran.record["directions"][number], moved[way]
        labels, target, held_out = case.source.test.labels, case.target, case.target.test
        images = target.vae.decode(case.codes, labels)
        predicted = target.classifier.predict(images)
        assert record["accuracy"] == pytest.approx(np.mean(predicted == labels), abs=1e-12)
        true = target.classifier.accuracy(held_out.images, held_out.labels)
        assert record["accuracy_target"] == pytest.approx(true, abs=1e-12)
        assert record["preserved"] == pytest.approx(record["accuracy"] / true, abs=1e-12)
        autoencoded = target.vae.decode(held_out.codes, held_out.labels)
        expected = target.classifier.accuracy(autoencoded, held_out.labels)
        assert record["accuracy_autoencoded"] == pytest.approx(expected, abs=1e-12)
        features = target.classifier.features(images), target.classifier.features(held_out.images)
        assert_close(record["fid"], frechet(*features), rtol=1e-4)
        assert [own["name"] for own in record["classes"]] == list(target.classes)
        ratios = {"sliced_w2": [], "pixels_w2": []}
        for label, own in enumerate(record["classes"]):
            mine, theirs = labels == label, held_out.labels == label
            assert (own["moved"], own["held_out"]) == (mine.sum(), theirs.sum())
            assert own["accuracy"] == pytest.approx(np.mean(predicted[mine] == label), abs=1e-12)
            assert_close(own["sliced_w2"], sliced_w2(case.codes[mine], flat(held_out.codes[theirs])), rtol=1e-4)
            assert_close(own["pixels_w2"], sliced_w2(flat(images[mine]), flat(held_out.images[theirs])), rtol=1e-4)
            # The floor depends on the draw: anywhere between those of ten others.
            pool, rng = np.flatnonzero(target.train.labels == label), np.random.default_rng(label)
            floors = {"sliced_w2": [], "pixels_w2": []}
            for _ in range(10):
                rows = rng.permutation(pool)[: mine.sum()]
                drawn = target.vae.decode(target.train.codes[rows], target.train.labels[rows])
                codes = flat(target.train.codes[rows])
                floors["sliced_w2"].append(sliced_w2(codes, flat(held_out.codes[theirs])))
                floors["pixels_w2"].append(sliced_w2(flat(drawn), flat(held_out.images[theirs])))
            for name, found in floors.items():
                assert 0.6 * min(found) < own[f"{name}_itself"] < 1.5 * max(found), name
                ratios[name].append(own[name] / own[f"{name}_itself"])
            assert 0 <= own["mmd"] < 1
            assert 0 < own["mmd_p_value"] <= 1
        assert_close(record["ratio"], np.mean(ratios["sliced_w2"]), rtol=1e-9)
        assert_close(record["ratio_pixels"], np.mean(ratios["pixels_w2"]), rtol=1e-9)

    @pytest.mark.parametrize(("number", "way"), [(0, "forth"), (1, "back")])
    def test_codes_come_closer_to_the_target_and_keep_their_class(self, number, way, ran, moved) -> None:
        record, case = ran.record["directions"][number], moved[way]
        assert record["preserved"] > 0.95
        for label, own in enumerate(record["classes"]):
            before = flat(case.source.test.codes[case.source.test.labels == label])
            still = sliced_w2(before, flat(case.target.test.codes[case.target.test.labels == label]))
            assert_at_most(own["sliced_w2"], still, own["name"])

    def test_what_is_said_is_the_record(self, ran) -> None:
        lines = ran.done.stdout.splitlines()
        for found in ran.record["directions"]:
            start = next(place for place, line in enumerate(lines) if line.startswith(f"{found['source']} to "))
            said = " ".join(lines[start : start + 4])
            for name in ("accuracy", "accuracy_target", "accuracy_autoencoded"):
                assert f"{100 * found[name]:.2f} %" in said
            assert f"sliced W2 to the target {found['ratio']:.3f} times" in said
            assert f"of pixels: {found['ratio_pixels']:.3f} times" in said
            assert "Frechet distance" in said

    def test_table_fits_80_columns_and_is_the_record(self, ran) -> None:
        lines = ran.done.stdout.splitlines()
        for found in ran.record["directions"]:
            start = next(place for place, line in enumerate(lines) if line.startswith(f"to {found['target']} "))
            head, *rows = lines[start : start + 11]
            assert head.split()[-8:] == ["images", "still", "codes", "ratio", "MMD", "p", "pixels", "ratio"]
            for row, own in zip(rows, found["classes"], strict=True):
                name, moved, still, percent, codes, ratio, mmd, p, pixels, ratio_pixels = row.split()
                assert (name, int(moved), percent) == (own["name"], own["moved"], "%")
                assert_close(float(still), 100 * own["accuracy"], atol=0.051)
                assert_close([float(codes), float(pixels)], [own["sliced_w2"], own["pixels_w2"]], rtol=6e-3)
                assert_close(float(ratio), own["sliced_w2"] / own["sliced_w2_itself"], atol=0.0051)
                assert_close(float(ratio_pixels), own["pixels_w2"] / own["pixels_w2_itself"], atol=0.0051)
                assert_close([float(mmd), float(p)], [own["mmd"], own["mmd_p_value"]], atol=0.00051)

    def test_longest_names_fit_80_columns_too(self, example, ran, capsys) -> None:
        found = ran.record["directions"][0]
        own = example.measures.ClassMeasures(**(found["classes"][0] | {"name": "T-shirt/top", "moved": 1000}))
        fields = found | {"target": "fashion-mnist", "classes": (own,)}
        example.transport._print_classes(
            example.measures.Measures(**{k: v for k, v in fields.items() if k != "preserved"})
        )
        head, row = capsys.readouterr().out.splitlines()
        assert max(len(head.rstrip()), len(row.rstrip())) <= 80
        assert head.startswith("to fashion-mnist  images")
        assert row.startswith("T-shirt/top ")
        assert "\N{HORIZONTAL ELLIPSIS}" not in head + row

    def test_json_is_all_there_is_on_stdout(self, example, models, data, tmp_path, monkeypatch, ran, domains) -> None:
        monkeypatch.setattr(
            example.transport, "fit", lambda *_, **__: SimpleNamespace(n_iter_=3, baseline_=True, map_=ran.map)
        )
        monkeypatch.setattr(
            example.transport,
            "move",
            lambda ot, cloud, other, *, inverse: (other.decoded(cloud.codes, cloud.labels), 0.25 * inverse),
        )
        monkeypatch.setattr(example.transport, "write_figure", lambda *_: None)
        words = ("--source", "mnist", "--target", "kmnist", "--models", models, "--data", data, "--output", tmp_path)
        found = json.loads(run(example, *words, "--json").stdout)
        assert (found["steps"], found["gaussian"]) == (3, True)
        assert [way["unconverged"] for way in found["directions"]] == [0.0, 0.25]
        # Codes that were not moved are further from the target than those that were.
        for way, before in zip(ran.record["directions"], found["directions"], strict=True):
            assert_at_most(way["ratio"], 0.5 * before["ratio"], "ratio")
        said = run(example, *words).stdout
        assert "3 steps, " in said
        assert "Gaussian maps" in said
        assert said.count("Unconverged       25 % of the codes") == 1


class TestMove:
    def test_both_ways_are_inverse_to_each_other(self, example, ran, domains, moved) -> None:
        ot = SimpleNamespace(
            transform=lambda codes, *, condition: ran.map.forward(codes, condition),
            inverse_transform=lambda codes, *, condition, return_status: ran.map.inverse_with_status(codes, condition),
        )
        x, y = domains.mnist, domains.kmnist
        there, nothing = example.transport.move(ot, x.test, y, inverse=False)
        assert nothing == 0.0
        assert_same(there.labels, x.test.labels)
        assert_close(there.codes, moved["forth"].codes, atol=1e-5)
        assert there.images.shape == (HELD_OUT, 8, 12)
        again, unconverged = example.transport.move(ot, there, x, inverse=True)
        assert unconverged == 0.0
        assert_close(again.codes, x.test.codes, atol=2e-3)
        assert_same(again.labels, x.test.labels)
        assert again.images.shape == (HELD_OUT, 8, 8)
        assert_close(again.images, x.vae.decode(x.test.codes, x.test.labels), atol=1e-2)
        # Not because nothing moves.
        assert np.abs(there.codes - x.test.codes).mean() > 0.1

    def test_share_of_codes_without_preimage(self, example, domains) -> None:
        cloud = domains.kmnist.test.rows(np.arange(4))
        status = SimpleNamespace(points=cloud.codes + 1, converged=np.array([True, False, True, True]))
        ot = SimpleNamespace(inverse_transform=lambda codes, *, condition, return_status: status)
        found, unconverged = example.transport.move(ot, cloud, domains.mnist, inverse=True)
        assert unconverged == 0.25
        assert_same(found.codes, cloud.codes + 1)

    def test_fit_learns_from_images_to_train_with_alone(self, example, domains, monkeypatch) -> None:
        calls = []

        class Recorded:
            def __init__(self, **options):
                calls.append(options)

            def fit(self, *points, **conditions):
                calls.extend([points, conditions])

        monkeypatch.setattr(example.transport, "BrenierMap", Recorded)
        x, y = domains.mnist, domains.kmnist
        example.transport.fit(x, y, max_steps=5, seed=7)
        options, points, conditions = calls
        assert options == {
            "max_steps": 5,
            "random_state": 7,
            "condition_types": "label",
            "training": Training(convexity=0.3),
        }
        for found, expected in zip(points, (x.train.codes, y.train.codes), strict=True):
            assert_same(found, expected)
        assert_same(conditions["x_condition"], x.train.labels)
        assert_same(conditions["y_condition"], y.train.labels)


class TestMeasure:
    def measure(self, example, domains, codes, labels, **options):
        target = domains.kmnist
        return example.measures.measure(
            target.decoded(codes, labels), "mnist", target, unconverged=0.0, seed=0, **options
        )

    @pytest.fixture
    def itself(self, domains, rng):
        """Images of the target that are as many as those to test: what a perfect map would give."""
        train = domains.kmnist.train
        return train.rows(rng.permutation(len(train.labels))[:HELD_OUT])

    def test_the_target_itself_has_ratios_near_one(self, example, domains, itself) -> None:
        found = self.measure(example, domains, itself.codes, itself.labels)
        assert_close([found.ratio, found.ratio_pixels], [1.0, 1.0], atol=0.2)
        assert_close(found.accuracy, found.accuracy_autoencoded, atol=0.03)
        assert 0.5 * found.fid_itself < found.fid < 2 * found.fid_itself
        # Under the null the test is small as often as its level says: of ten classes hardly more than two below 0.05.
        assert sum(own.mmd_p_value < 0.05 for own in found.classes) <= 2
        assert (found.source, found.target) == ("mnist", "kmnist")

    def test_shifted_codes_are_further_away(self, example, domains, itself) -> None:
        right = self.measure(example, domains, itself.codes, itself.labels)
        shift = np.array([2.0, -2.0, 2.0], np.float32)
        wrong = self.measure(example, domains, itself.codes + shift, itself.labels)
        assert wrong.ratio > 3 * right.ratio
        assert wrong.ratio_pixels > 1.1 * right.ratio_pixels
        assert wrong.fid > 3 * right.fid
        assert wrong.accuracy < right.accuracy - 0.2
        # The mean of squared shifts along a random direction is a third of the squared shift.
        found = np.mean([own.sliced_w2 for own in wrong.classes])
        assert_close(found, np.sqrt(np.sum(shift**2) / 3), rtol=0.1)
        assert all(own.mmd_p_value == pytest.approx(1 / 500) for own in wrong.classes)
        # What does not depend on the moved images stays as it was.
        for name in ("accuracy_target", "accuracy_autoencoded", "fid_itself"):
            assert getattr(wrong, name) == getattr(right, name)

    def test_images_of_other_classes_are_not_what_they_were(self, example, domains, itself) -> None:
        cloud = domains.kmnist.decoded(itself.codes, itself.labels)
        wrong = example.measures.measure(
            cloud._replace(labels=(cloud.labels + 1) % 10), "mnist", domains.kmnist, unconverged=0.0, seed=0
        )
        assert_at_most(wrong.accuracy, 0.1, "accuracy")
        assert_at_most([own.accuracy for own in wrong.classes], 0.3, "accuracy of a class")
        assert wrong.ratio > 2
        assert wrong.ratio_pixels > 1.3
        assert wrong.preserved == pytest.approx(wrong.accuracy / wrong.accuracy_target)

    def test_collapsed_codes_are_told_apart(self, example, domains, itself) -> None:
        means = np.stack([itself.codes[itself.labels == label].mean(axis=0) for label in range(10)])
        found = self.measure(example, domains, means[itself.labels], itself.labels)
        assert found.accuracy > 0.9
        assert found.ratio > 1.5

    def test_as_many_images_stand_for_the_target_as_were_moved(self, example, domains) -> None:
        train = domains.kmnist.train
        labels = np.array([2] * 5 + [0] * 3 + [9] * 10_000)
        rng = np.random.default_rng(1)
        found = example.measures._as_many(train, labels, rng)
        assert np.bincount(found.labels).tolist() == [3, 0, 5, 0, 0, 0, 0, 0, 0, np.sum(train.labels == 9)]
        rows = {image.tobytes(): place for place, image in enumerate(train.images)}
        places = [rows[image.tobytes()] for image in found.images]
        assert len(set(places)) == len(places)
        assert_same(found.codes, train.codes[places])
        assert_same(found.labels, train.labels[places])
        others = example.measures._as_many(train, labels, rng)
        assert {*places[:3]} != {rows[image.tobytes()] for image in others.images[:3]}

    def test_classes_that_were_not_moved_are_left_out(self, example, domains, itself) -> None:
        some = itself.rows(np.isin(itself.labels, [1, 4]))
        found = self.measure(example, domains, some.codes, some.labels)
        assert [own.name for own in found.classes] == ["ki", "na"]
        assert_close(found.ratio, np.mean([own.sliced_w2 / own.sliced_w2_itself for own in found.classes]), rtol=1e-12)

    def test_inception_judges_the_same_images_as_the_classifier(self, example, domains, itself, monkeypatch) -> None:
        asked = []

        def features(images, weights):
            asked.append(weights)
            return domains.kmnist.classifier.features(images)

        monkeypatch.setattr(example.measures, "inception_features", features)
        found = self.measure(example, domains, itself.codes, itself.labels, inception=Path("weights"))
        assert set(asked) == {Path("weights")}
        assert_close([found.inception, found.inception_itself], [found.fid, found.fid_itself], rtol=1e-6)
        assert found.record()["inception"] == found.inception
        said = dict(example.transport._lines(found))
        assert said["FID"].startswith(example.transport.number(found.inception))

    def test_record_of_a_classifier_that_knows_nothing(self, example, domains, itself) -> None:
        found = self.measure(example, domains, itself.codes, itself.labels)
        assert found.record()["preserved"] == found.preserved == pytest.approx(found.accuracy / found.accuracy_target)
        blind = example.measures.Measures(**{**vars(found), "accuracy_target": 0.0})
        assert math.isnan(blind.preserved)


class TestFigure:
    def test_nearest_is_what_brute_force_finds(self, example, rng) -> None:
        images, others = rng.random((7, 4, 5)), rng.random((30, 4, 5)).astype(np.float32)
        expected = [int(np.argmin([np.sum((image - other) ** 2) for other in others])) for image in images]
        assert example.figure.nearest(images, others).tolist() == expected
        assert example.figure.nearest(others, others).tolist() == list(range(30))
        # Bytes do not wrap around.
        bright = np.array([[[250]], [[5]]], np.uint8)
        assert example.figure.nearest(np.array([[[4]]], np.uint8), bright).tolist() == [1]

    def cloud(self, example, labels, images) -> object:
        """Codes and features are not drawn."""
        nothing = np.zeros((len(labels), 1), np.float32)
        return example.domains.Cloud(images, np.asarray(labels), nothing, nothing)

    # In hundredths of an inch: 85 left of the columns and 270 a class; 65 above the rows and 250 a row of five classes.
    @pytest.mark.parametrize(("count", "size"), [(1, (355, 315)), (3, (895, 315)), (5, (1435, 315)), (10, (1435, 565))])
    def test_size_is_that_of_the_classes(self, count, size, example, tmp_path) -> None:
        labels = np.repeat(np.arange(count), 2)
        cloud = self.cloud(example, labels, np.ones((len(labels), 4, 4), np.float32))
        names = tuple((str(label), str(label)) for label in range(count))
        example.figure.write_figure(tmp_path / "a.png", "title", cloud, cloud, cloud, names)
        with Image.open(tmp_path / "a.png") as image:
            assert image.format == "PNG"
            assert_close(image.size, size, atol=1)

    def test_images_are_where_they_should_be(self, example, tmp_path) -> None:
        """Flat images of known greys: rows source, moved, nearest; columns in the order of the images."""
        grey = np.array([0.0, 0.2, 0.4, 0.6, 0.9, 0.1], np.float32)
        labels = [0, 1, 0, 0, 0, 0]

        def flat_images(values):
            return np.broadcast_to(np.asarray(values, np.float32)[:, None, None], (len(values), 3, 3))

        source = self.cloud(example, labels, flat_images(grey))
        moved = self.cloud(example, labels, flat_images(1 - grey))
        # The nearest of all is of the other class, and is not shown.
        target = self.cloud(example, [0, 1, 0, 1], flat_images([0.95, 0.41, 0.3, 1.0]))
        path = tmp_path / "a.png"
        example.figure.write_figure(path, "title", source, moved, target, (("one", "uno"), ("two", "two")))
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L")) / 255
        middles = [[pixels[int(138 + 62 * row), int(116 + 62 * column)] for column in range(4)] for row in range(3)]
        # The first four of class 0; the fifth image of it is left out.
        shown = grey[[0, 2, 3, 4]]
        assert_close(middles, [shown, 1 - shown, [0.95, 0.3, 0.3, 0.3]], atol=5e-3)
        second = [pixels[int(138 + 62 * row), 116 + 270] for row in range(3)]
        assert_close(second, [0.2, 0.8, 1.0], atol=5e-3)
        # One image of class 1, and white beside it; text above the images and to their left.
        assert (pixels[110:280, 116 + 270 + 62 :] == 1).all()
        for text in (pixels[10:45, 85:150], pixels[75:104, 85:200], pixels[110:170, 5:80]):
            assert (text < 0.5).any()

    def test_pictures_of_the_run(self, ran, moved, example) -> None:
        for name, case in (("mnist-to-kmnist", moved["forth"]), ("kmnist-to-mnist", moved["back"])):
            with Image.open(ran.folder / f"{name}.png") as image:
                pixels = np.asarray(image.convert("L")) / 255
            assert_close(pixels.shape, (565, 1435), atol=1)
            # The moved images of the sixth class, first of the second row: their mean grey.
            source, target = case.source.test, case.target
            rows = np.flatnonzero(source.labels == 5)[:4]
            images = target.vae.decode(case.codes[rows], source.labels[rows])
            tall, wide = images.shape[1:]
            for column, image in enumerate(images):
                x, y = 85 + 62 * column, 65 + 250 + 42 + 62
                box = pixels[y : y + 62, x : x + 61]
                inside = box[(box != 1).any(axis=1)][:, (box != 1).any(axis=0)]
                assert_close(inside.mean(), image.mean(), atol=0.04)
                assert abs(inside.shape[0] / inside.shape[1] - tall / wide) < 0.1

    def test_an_older_picture_stays_where_drawing_fails(self, example, tmp_path, monkeypatch) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"older")
        monkeypatch.setattr(example.figure.Figure, "savefig", lambda self, handle, **_: handle.write(b"half") and 1 / 0)
        cloud = self.cloud(example, [0], np.ones((1, 4, 4), np.float32))
        with pytest.raises(ZeroDivisionError):
            example.figure.write_figure(path, "title", cloud, cloud, cloud, (("a", "a"),))
        assert [other.read_bytes() for other in tmp_path.iterdir()] == [b"older"]


class TestErrors:
    @pytest.fixture
    def folder(self, models, tmp_path) -> Path:
        """Models that a test may spoil."""
        return Path(shutil.copytree(models, tmp_path / "models"))

    @pytest.fixture(autouse=True)
    def no_work(self, example, monkeypatch) -> None:
        monkeypatch.setattr(example.transport, "fit", lambda *_, **__: pytest.fail("worked before the checks"))

    def refused(self, example, models, data, *more: object, source="mnist", target="kmnist") -> str:
        """The sentence on stderr, after which all files are as they were and no folder is new."""
        root = models.parent
        before = {path: path.is_file() and path.read_bytes() for path in root.rglob("*")}
        words = ("--source", source, "--target", target, "--models", models, "--data", data, *more)
        done = run(example, *words, code=2)
        assert done.stdout == ""
        assert {path: path.is_file() and path.read_bytes() for path in root.rglob("*")} == before
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert line.endswith(".")
        return line.removeprefix("error: ")

    def test_one_set_twice(self, example, folder, data) -> None:
        message = self.refused(example, folder, data, source="kmnist")
        assert message == "`--source` and `--target` are both kmnist. Name two sets."

    @pytest.mark.parametrize("name", ["mnist.vae", "kmnist.classifier"])
    def test_models_that_are_missing(self, name, example, folder, data) -> None:
        (folder / name).unlink()
        message = self.refused(example, folder, data, "--output", folder.parent / "new")
        assert message == f"there is no file `{folder / name}`. `python -m latent_images.train` writes such files."

    def test_images_that_are_missing(self, example, folder, tmp_path) -> None:
        assert "does not exist" in self.refused(example, folder, tmp_path / "data", "--output", tmp_path / "new")

    @pytest.mark.parametrize(
        ("kind", "sizes", "found"),
        [
            ("vae", {"shape": (8, 8)}, "ConditionalVAE for 10 classes of images of 8 x 8"),
            ("vae", {"shape": (12, 8)}, "ConditionalVAE for 10 classes of images of 12 x 8"),
            ("classifier", {"shape": (8, 8)}, "Classifier for 10 classes of images of 8 x 8"),
            ("classifier", {"shape": (8, 12), "classes": 9}, "Classifier for 9 classes of images of 8 x 12"),
        ],
    )
    def test_networks_of_another_size(self, kind, sizes, found, example, folder, data) -> None:
        network = {"vae": example.vae.ConditionalVAE, "classifier": example.classifier.Classifier}[kind]
        example.files.save(folder / f"kmnist.{kind}", example.start.fresh(network, 0, **sizes))
        expected = f"`{folder}` has a {found}, but kmnist has 10 classes of 8 x 12. Train it again."
        assert self.refused(example, folder, data, "--output", folder.parent / "new") == expected

    def test_codes_of_different_dimensions(self, example, folder, data) -> None:
        network = example.start.fresh(example.vae.ConditionalVAE, 0, shape=(8, 12), latent=4, hidden=4, channels=2)
        example.files.save(folder / "kmnist.vae", network)
        message = self.refused(example, folder, data, "--output", folder.parent / "new")
        assert message == (
            "The codes of mnist have 3 dimensions, and those of kmnist 4. Train both with one `--latent`."
        )

    def test_sets_with_different_numbers_of_classes(self, example, folder, data, monkeypatch) -> None:
        def fewer(name, **options):
            """KMNIST without its last class."""
            parts = example.sets.load_set(name, **options)
            if name != "kmnist":
                return parts
            return tuple(
                type(part)(part.images[part.labels < 9], part.labels[part.labels < 9], part.names[:9]) for part in parts
            )

        monkeypatch.setattr(example.domains, "load_set", fewer)
        small = {"shape": (8, 12), "classes": 9, "channels": 2}
        vae = example.start.fresh(example.vae.ConditionalVAE, 0, latent=3, hidden=4, **small)
        example.files.save(folder / "kmnist.vae", vae)
        example.files.save(folder / "kmnist.classifier", example.start.fresh(example.classifier.Classifier, 0, **small))
        message = self.refused(example, folder, data, "--output", folder.parent / "new")
        assert message == (
            "`--source` mnist has 10 classes, and `--target` kmnist has 9. Classes belong together by number; name "
            "sets with equally many."
        )

    def test_fit_refuses_the_same(self, example, domains, monkeypatch) -> None:
        monkeypatch.undo()
        with pytest.raises(InputError, match="`--source` mnist has 10 classes, and `--target` kmnist has 2"):
            example.transport.fit(domains.mnist, domains.kmnist._replace(classes=("a", "b")))

    def test_classes_of_too_few_images(self, example, folder, data) -> None:
        message = self.refused(example, folder, data, "--limit", 5, "--output", folder.parent / "new")
        assert message.startswith("mnist has 0 of 5 images in class ")
        assert message.endswith("too few to compare. Train and move with a higher `--limit`.")

    def test_weights_that_are_missing(self, example, folder, data) -> None:
        message = self.refused(example, folder, data, "--inception", folder / "none", "--output", folder.parent / "new")
        assert f"there is no file `{folder / 'none'}`" in message

    def test_a_file_in_place_of_the_folder(self, example, folder, data) -> None:
        (folder.parent / "taken").write_bytes(b"mine")
        message = self.refused(example, folder, data, "--output", folder.parent / "taken")
        assert message == f"`{folder.parent / 'taken'}` cannot be made a folder: File exists. Name another."

    @pytest.mark.parametrize("name", ["mnist-kmnist.brenier", "mnist-to-kmnist.png", "kmnist-to-mnist.png"])
    def test_a_folder_in_place_of_a_file(self, name, example, folder, data) -> None:
        (folder / name).mkdir()
        assert self.refused(example, folder, data) == f"`{folder / name}` is a folder. Name a file in it."

    def test_options_out_of_range(self, example, folder) -> None:
        for words in (("--max-steps", 0), ("--seed", -1), ("--limit", 0), ("--source", "letters")):
            assert "Invalid value" in run(example, "--models", folder, *words, code=2).stderr

    def test_errors_are_json_where_that_is_asked_for(self, example, folder, data) -> None:
        words = ("--source", "mnist", "--target", "mnist", "--models", folder, "--data", data, "--json")
        found = json.loads(run(example, *words, code=2).stdout)
        assert found == {"error": "`--source` and `--target` are both mnist. Name two sets."}


@pytest.mark.slow
def test_digits_of_two_sets_stay_what_they_are(example, shared_data, tmp_path) -> None:
    """With defaults throughout: MNIST's test files to scikit-learn's digits, and back."""
    words = ["--source", "mnist-test", "--target", "digits", "--data", str(shared_data)]
    done = CliRunner().invoke(example.train.app, [*words, "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    record = json.loads(run(example, *words, "--models", tmp_path, "--json").stdout)
    assert [found["source"] for found in record["directions"]] == ["mnist-test", "digits"]
    for found in record["directions"]:
        way = f"{found['source']} to {found['target']}"
        assert found["preserved"] >= 0.97, way
        assert_at_most(found["ratio"], 1.3, f"ratio, {way}")
        assert_at_most(found["ratio_pixels"], 1.3, f"ratio of pixels, {way}")
