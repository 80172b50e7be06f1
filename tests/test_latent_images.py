"""The example of images in latent space: its networks learn digits, survive a file, and its command runs."""

import importlib
import json
import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.datasets
import sklearn.metrics
from typer.testing import CliRunner

from asserts import assert_at_most, assert_close, assert_same
from brenier import InputError
from brenier_bench.datasets import load_mnist

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
VAE = {"latent": 4, "channels": 16, "hidden": 64, "batch": 32, "epochs": 10, "rate": 1e-2}


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """The modules of the example, whose folder is on the path for as long as the tests of this file run."""
    names = ("vae", "classifier", "files", "inputs", "sets", "start", "train", "training")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
        yield SimpleNamespace(**{name: importlib.import_module(f"latent_images.{name}") for name in names})


@pytest.fixture(scope="module")
def digits() -> SimpleNamespace:
    """Four fifths to train with and a fifth held out, straight from scikit-learn."""
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order].reshape(-1, 8, 8).astype(np.float32) / 16, labels[order]
    return SimpleNamespace(images=images[:1437], labels=labels[:1437], held=images[1437:], held_labels=labels[1437:])


@pytest.fixture(scope="module")
def vae(example, digits) -> eqx.Module:
    return example.vae.train_vae(digits.images, digits.labels, **VAE)


@pytest.fixture(scope="module")
def classifier(example, digits) -> eqx.Module:
    return example.classifier.train_classifier(digits.images, digits.labels, channels=16, epochs=10)


class Mean(eqx.Module):
    """The smallest network: one number."""

    value: jax.Array


class TestTraining:
    def run(self, example, loss, images, labels, **options):
        epochs = []
        network = example.training.train(
            Mean(jnp.zeros(())), loss, images, labels, classes=10, seed=0, callback=epochs.append, **options
        )
        return network, epochs

    def test_finds_the_minimum_and_tells_how_far_it_is(self, example, digits) -> None:
        def loss(model, images, labels, progress, key):
            return jnp.mean((model.value - images) ** 2)

        network, epochs = self.run(example, loss, digits.held, digits.held_labels, epochs=30, batch=36, rate=0.05)
        assert_close(float(network.value), float(digits.held.mean()), atol=5e-3)
        assert [(epoch.number, epoch.epochs) for epoch in epochs] == [(number, 30) for number in range(1, 31)]
        assert_close(epochs[-1].loss, float(digits.held.var()), rtol=1e-2)
        assert_at_most(epochs[-1].loss, epochs[0].loss, "loss")
        assert 0 < epochs[0].seconds <= epochs[-1].seconds

    def test_every_image_with_its_label_once_an_epoch(self, example) -> None:
        labels = np.arange(8)
        images = np.broadcast_to((labels / 10)[:, None, None], (8, 4, 4))

        def loss(model, images, labels, progress, key):
            # Zero only where image and label belong together; otherwise a weight that tells the images apart.
            apart = jnp.sum((images[:, 0, 0] - labels / 10) ** 2)
            return 0.0 * model.value + 1e6 * apart + jnp.mean(2.0**labels)

        _, epochs = self.run(example, loss, images, labels, epochs=2, batch=2, rate=0.1)
        assert_close([epoch.loss for epoch in epochs], [255 / 8, 255 / 8], rtol=1e-6)
        _, (epoch,) = self.run(example, loss, images, labels, epochs=1, batch=100, rate=0.1)
        assert_close(epoch.loss, 255 / 8, rtol=1e-6)

    def test_orders_differ_between_epochs_and_progress_rises_from_zero(self, example) -> None:
        def loss(model, images, labels, progress, key):
            return 0.0 * model.value + progress

        _, epochs = self.run(example, loss, np.zeros((8, 4, 4)), np.zeros(8, int), epochs=2, batch=2, rate=0.1)
        assert_close([epoch.loss for epoch in epochs], [(0 + 1 + 2 + 3) / 32, (4 + 5 + 6 + 7) / 32], rtol=1e-6)

        def first_of_five(model, images, labels, progress, key):
            return 0.0 * model.value + jnp.mean(labels)

        # Three of five fill a batch; which ones changes with the order.
        _, epochs = self.run(example, first_of_five, np.zeros((5, 4, 4)), np.arange(5), epochs=9, batch=3, rate=0.1)
        assert len({epoch.loss for epoch in epochs}) > 1

    @pytest.mark.parametrize(
        "drawn",
        [lambda images, key: jax.random.normal(key), lambda images, key: images[0].mean()],
        ids=["key", "order"],
    )
    def test_one_seed_one_network(self, drawn, example, digits) -> None:
        def loss(model, images, labels, progress, key):
            return (model.value - drawn(images, key)) ** 2

        def train(seed):
            options = {"classes": 10, "epochs": 1, "batch": 30, "rate": 0.1, "seed": seed}
            return example.training.train(Mean(jnp.zeros(())), loss, digits.held, digits.held_labels, **options).value

        assert_same(train(1), train(1))
        assert train(1) != train(2)

    @pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch": 0}])
    def test_nothing_to_do(self, wrong, example, digits) -> None:
        with pytest.raises(InputError, match=r"`epochs` and `batch` must be at least 1; got"):
            example.vae.train_vae(digits.images, digits.labels, **(VAE | wrong))


class TestStart:
    def test_layers_keep_the_variance(self, example) -> None:
        network = example.start.fresh(example.vae.ConditionalVAE, 0, shape=(28, 28))
        for layer in (*network.down, network.inwards, *network.outwards, *network.up):
            inputs = layer.weight.size // len(layer.weight)
            # The standard error of a standard deviation is its size over the root of twice the count.
            error = 4 / np.sqrt(2 * layer.weight.size)
            assert_close(float(np.std(layer.weight)) * np.sqrt(inputs), 1.0, atol=error)
            assert not np.any(layer.bias)

    def test_one_seed_one_start(self, example) -> None:
        first, again, other = (
            jax.tree.leaves(example.start.fresh(example.classifier.Classifier, seed, shape=(8, 8)))
            for seed in (1, 1, 2)
        )
        for one, same in zip(first, again, strict=True):
            assert_same(one, same)
        assert (np.asarray(first[0]) != np.asarray(other[0])).all()


class TestAutoencoder:
    def test_learns_more_of_digits_than_their_class(self, vae, digits) -> None:
        means = np.stack([digits.images[digits.labels == label].mean(axis=0) for label in range(10)])
        decoded = vae.decode(vae.encode(digits.held, digits.held_labels), digits.held_labels)

        def error(found):
            return float(np.mean((found - digits.held) ** 2))

        by_class, by_mean = error(means[digits.held_labels]), error(digits.images.mean(axis=0))
        assert by_class < by_mean
        # 0.65 with these settings; a decoder that ignores the code cannot get below the class means.
        assert_at_most(error(decoded), 0.8 * by_class, "squared error a pixel")

    def test_the_label_chooses_what_is_drawn(self, vae, classifier, digits) -> None:
        codes = vae.encode(digits.held, digits.held_labels)
        other = (digits.held_labels + 1) % 10
        assert classifier.accuracy(vae.decode(codes, other), other) > 0.9

    def test_rows_are_independent_in_any_number(self, vae, digits) -> None:
        codes = vae.encode(digits.images, digits.labels)  # more than are encoded at once
        assert codes.shape == (1437, 4)
        assert codes.dtype == np.float32
        rows = [1436, 3, 1100]
        assert_close(vae.encode(digits.images[rows], digits.labels[rows]), codes[rows], atol=1e-5)
        images = vae.decode(codes, digits.labels)
        assert images.shape == (1437, 8, 8)
        assert images.dtype == np.float32
        assert 0 <= images.min() < images.max() <= 1
        assert_close(vae.decode(codes[rows], digits.labels[rows]), images[rows], atol=1e-5)

    # Multiples of 4 and others, which are filled up.
    @pytest.mark.parametrize("shape", [(16, 16), (18, 26), (28, 28)])
    def test_sizes(self, shape, example) -> None:
        sizes = {"latent": 3, "channels": 2, "hidden": 4}
        network = example.start.fresh(example.vae.ConditionalVAE, 0, shape=shape, **sizes)
        image, code = jnp.full(shape, 0.5), jnp.ones(3)
        seen = jax.jit(jax.jacrev(lambda image: network.posterior(image, 1)[0]))(image)
        drawn = jax.jit(jax.jacfwd(lambda code: network.logits(code, 1)))(code)
        assert seen.shape == (3, *shape)
        assert drawn.shape == (*shape, 3)
        # Every pixel has a part in the code, and the code in every pixel: nothing is cut off.
        assert (np.abs(seen).max(axis=0) > 0).all()
        assert (np.abs(drawn).max(axis=-1) > 0).all()

    def test_channels_are_laid_out_as_blocks_of_pixels(self, example) -> None:
        blocks = np.arange(8.0)[:, None, None] * np.array([[1.0, 10.0]])  # eight channels of 1 x 2
        expected = [[[0, 1, 0, 10], [2, 3, 20, 30]], [[4, 5, 40, 50], [6, 7, 60, 70]]]
        assert_close(example.vae._to_pixels(jnp.asarray(blocks)), np.array(expected, float), atol=1e-6)

    def test_loss_is_the_evidence_bound(self, example, digits) -> None:
        network = example.start.fresh(example.vae.ConditionalVAE, 1, shape=(8, 8), latent=3, channels=2, hidden=8)
        # Moments of some size: at the start of training they are all close to those of the prior.
        network = eqx.tree_at(lambda net: net.moments.bias, network, jnp.array([1.0, -2.0, 0.0, 1.0, -1.0, 0.5]))
        images, labels, key = digits.images[:5], jnp.asarray(digits.labels[:5]), jax.random.key(2)
        posteriors = jax.jit(jax.vmap(lambda image, label: network.posterior(image, label)))
        bound = eqx.filter_jit(example.vae.negative_elbo)
        losses = [float(bound(network, images, labels, jnp.asarray(done), key)) for done in (0.0, 0.125, 0.25, 1.0)]
        means, logs = (np.asarray(part, float) for part in posteriors(images, labels))
        spreads = np.exp(logs / 2)
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        at = means[..., None] + spreads[..., None] * nodes
        posterior = scipy.stats.norm(means[..., None], spreads[..., None]).logpdf(at)
        divergence = np.sum((posterior - scipy.stats.norm.logpdf(at)) @ weights / weights.sum(), axis=1).mean()
        codes = means + spreads * np.asarray(jax.random.normal(key, means.shape))
        white = network.decode(codes, labels).astype(float)
        entropy = -np.sum(images * np.log(white) + (1 - images) * np.log(1 - white), axis=(1, 2)).mean()
        # The weight of the divergence rises to one over a quarter of the training.
        assert_close(losses, entropy + divergence * np.array([0.0, 0.5, 1.0, 1.0]), rtol=1e-5)
        # A pixel that is the mean of 16 points is as much evidence as these; the prior is as it was.
        counted = float(bound(network, images, labels, jnp.asarray(1.0), key, 16))
        assert_close(counted, 16 * entropy + divergence, rtol=1e-5)
        black = np.round(16 * images).astype(int)
        likelihood = scipy.stats.binom(16, white).logpmf(black) - scipy.stats.binom(16, 0.5).logpmf(black)
        constant = 16 * np.log(2) * images[0].size
        assert_close(counted, divergence + constant - likelihood.sum(axis=(1, 2)).mean(), rtol=1e-5)

    def test_counts_reach_the_loss(self, example, digits) -> None:
        def losses(**options):
            epochs = []
            sizes = {"latent": 2, "channels": 2, "hidden": 4, "epochs": 1, "rate": 1e-6}
            example.vae.train_vae(digits.held, digits.held_labels, **sizes, **options, callback=epochs.append)
            return epochs[0].loss

        # At this rate nothing is learned, and the divergence at the start is next to nothing.
        assert_close(losses(counts=16), 16 * losses(), rtol=1e-2)


class TestClassifier:
    def test_recognises_digits_that_were_held_out(self, classifier, digits) -> None:
        found = classifier.predict(digits.held)
        accuracy = classifier.accuracy(digits.held, digits.held_labels)
        assert accuracy > 0.9
        assert accuracy == pytest.approx(sklearn.metrics.accuracy_score(digits.held_labels, found))

    def test_features_are_what_the_last_layer_gets(self, classifier, digits) -> None:
        features = classifier.features(digits.images)
        assert features.shape == (1437, 128)
        assert features.std(axis=0).max() > 0.1
        scores = np.asarray(jax.vmap(classifier.outer)(features))
        assert_same(classifier.predict(digits.images), np.argmax(scores, axis=1))
        assert_same(classifier.classes_of(features), np.argmax(scores, axis=1))

    def test_classes_of_any_features(self, classifier) -> None:
        inside = np.zeros((10, 128), np.float32)
        bias = np.asarray(classifier.outer.bias)
        assert_same(classifier.classes_of(inside), np.full(10, np.argmax(bias)))
        # Far along the weights of a class, where these are not much alike, nothing else is as likely.
        assert_same(classifier.classes_of(1e3 * np.asarray(classifier.outer.weight)), np.arange(10))

    @pytest.mark.parametrize("shape", [(16, 16), (18, 22), (28, 28)])
    def test_sizes(self, shape, example) -> None:
        network = example.start.fresh(example.classifier.Classifier, 0, shape=shape, classes=3, channels=2, width=5)
        assert network.features(np.zeros((2, *shape))).shape == (2, 5)

    def test_images_are_shifted_by_two_of_28_pixels_and_not_at_all_of_8(self, example) -> None:
        def places(size, draws):
            points = jnp.zeros((draws, size, size)).at[:, size // 2, size // 2].set(1.0)
            shifted = jax.jit(example.classifier._shifted)(points, jax.random.key(0))
            assert shifted.shape == (draws, size, size)
            return {(int(i) - size // 2, int(j) - size // 2) for _, i, j in np.argwhere(np.asarray(shifted) == 1)}

        # Of 25 places each is missed by 300 draws with a probability of 5e-6.
        assert places(28, 300) == {(i, j) for i in range(-2, 3) for j in range(-2, 3)}
        assert places(8, 10) == {(0, 0)}


class TestChecks:
    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (np.zeros((8, 8)), r"`images` must have shape \(n, h, w\), at least one image; got \(8, 8\)"),
            (np.zeros((0, 8, 8)), r"at least one image; got \(0, 8, 8\)"),
            (np.zeros((2, 8, 9)), r"`images` must be 8 x 8, as in training; got 8 x 9"),
            (np.full((2, 8, 8), 16.0), r"`images` must lie between 0 and 1; got 16 to 16\. Divide bytes by 255"),
            (np.full((2, 8, 8), -0.1), r"got -0\.1 to -0\.1"),
            (np.full((2, 8, 8), np.nan), r"got nan to nan"),
        ],
    )
    def test_images(self, images, message, vae, classifier) -> None:
        with pytest.raises(InputError, match=message):
            vae.encode(images, np.zeros(2, int))
        with pytest.raises(InputError, match=message):
            classifier.predict(images)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.zeros(3, int), r"`labels` must be 2 whole numbers, one an image; got int64 of shape \(3,\)"),
            (np.zeros(2), r"got float64 of shape \(2,\)"),
            (np.array([0, 10]), r"`labels` must be from 0 to 9; got 0 to 10"),
            (np.array([-1, 9]), r"got -1 to 9"),
        ],
    )
    def test_labels(self, labels, message, vae, classifier) -> None:
        for call in (vae.encode, classifier.accuracy):
            with pytest.raises(InputError, match=message):
                call(np.zeros((2, 8, 8)), labels)
        with pytest.raises(InputError, match=message):
            vae.decode(np.zeros((2, 4)), labels)

    def test_codes_and_sizes(self, example, vae, digits) -> None:
        with pytest.raises(InputError, match=r"`latent` must have shape \(n, 4\), at least one code; got \(2, 5\)"):
            vae.decode(np.zeros((2, 5)), np.zeros(2, int))
        with pytest.raises(InputError, match=r"`latent` must be at least 1; got 0"):
            example.vae.train_vae(digits.images, digits.labels, latent=0)
        with pytest.raises(InputError, match=r"`counts` must be at least 1; got 0"):
            example.vae.train_vae(digits.images, digits.labels, counts=0)
        with pytest.raises(InputError, match=r"`features` must be at least 1; got 0"):
            example.classifier.train_classifier(digits.images, digits.labels, width=0)


class TestFiles:
    def test_networks_are_the_same_again(self, example, vae, classifier, digits, tmp_path) -> None:
        example.files.save(tmp_path / "a.vae", vae)
        example.files.save(tmp_path / "a.classifier", classifier)
        again = example.files.load(tmp_path / "a.vae", example.vae.ConditionalVAE)
        assert again.hyperparameters() == vae.hyperparameters()
        codes = vae.encode(digits.held, digits.held_labels)
        assert_same(again.encode(digits.held, digits.held_labels), codes)
        assert_same(again.decode(codes, digits.held_labels), vae.decode(codes, digits.held_labels))
        judge = example.files.load(tmp_path / "a.classifier", example.classifier.Classifier)
        assert_same(judge.features(digits.held), classifier.features(digits.held))
        # Nothing in the file is unpickled: where pickle is not allowed, it can still be read.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pickle, "load", pytest.fail)
            patch.setattr(pickle, "loads", pytest.fail)
            example.files.load(tmp_path / "a.vae", example.vae.ConditionalVAE)

    def test_files_that_hold_no_such_network(self, example, classifier, tmp_path) -> None:
        path = tmp_path / "a.classifier"
        example.files.save(path, classifier)
        with pytest.raises(InputError, match=r"holds a Classifier, not a ConditionalVAE\. Name another file"):
            example.files.load(path, example.vae.ConditionalVAE)
        whole = path.read_bytes()
        other = whole.replace(b'"channels": 16', b'"channels": 17', 1)
        for content in (whole[:-100], whole[:30], other, b"[1]\n", b"\xff\xfe", b""):
            path.write_bytes(content)
            with pytest.raises(InputError, match=r"a\.classifier` is not a whole Classifier .*Train it again"):
                example.files.load(path, example.classifier.Classifier)
        with pytest.raises(InputError, match=r"there is no file `.*none`"):
            example.files.load(tmp_path / "none", example.classifier.Classifier)


def pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]


class TestSets:
    def test_digits_are_split_without_loss(self, example) -> None:
        train, test = example.sets.load_set(example.sets.Name.digits, seed=3)
        assert (len(train.images), len(test.images)) == (1438, 359)
        pixels, labels = sklearn.datasets.load_digits(return_X_y=True)
        both = [*pairs(train.images, train.labels), *pairs(test.images, test.labels)]
        assert sorted(both) == sorted(pairs((pixels / 16).astype(np.float32), labels))
        again, _ = example.sets.load_set(example.sets.Name.digits, seed=3)
        assert_same(again.images, train.images)
        other, _ = example.sets.load_set(example.sets.Name.digits, seed=4)
        assert (other.images != train.images).any()

    def test_test_files_of_mnist_are_split_without_loss(self, example, shared_data, tmp_path) -> None:
        name, folder = example.sets.Name.mnist_test, tmp_path / "mnist"
        folder.mkdir()
        for kind in ("images-idx3", "labels-idx1"):
            shutil.copy(shared_data / "mnist" / f"t10k-{kind}-ubyte.gz", folder)
        train, test = example.sets.load_set(name, data=tmp_path, seed=3)
        assert (train.images.shape, test.images.shape) == ((8000, 28, 28), (2000, 28, 28))
        whole = load_mnist("test", path=folder)
        both = [*pairs(train.images, train.labels), *pairs(test.images, test.labels)]
        assert sorted(both) == sorted(pairs(whole.images, whole.labels))
        # A fifth of every class, nearly: the files are not in the order of the split.
        assert (np.abs(np.bincount(test.labels) / np.bincount(whole.labels) - 0.2) < 0.05).all()
        assert_same(example.sets.load_set(name, data=tmp_path, seed=3)[1].labels, test.labels)
        assert (example.sets.load_set(name, data=tmp_path, seed=4)[1].labels != test.labels).any()

    @pytest.mark.parametrize(
        ("images", "least", "batch", "epochs"),
        [(60_000, 20, 64, 20), (1438, 20, 64, 69), (6400, 10, 64, 15), (300, 10, 32, 167), (3, 1, 64, 1500)],
    )
    def test_small_sets_are_seen_for_1500_steps(self, images, least, batch, epochs, example) -> None:
        assert example.sets.epochs_of(images, least, batch) == epochs
        steps = max(images // batch, 1)
        assert epochs == least or epochs * steps >= 1500 > (epochs - 1) * steps

    def test_only_pixels_of_digits_count_points(self, example) -> None:
        names = example.sets.Name
        assert {name for name in names if example.sets.points_a_pixel(name) != 1} == {names.digits}
        # So many that every pixel is a whole number of them.
        points = example.sets.points_a_pixel(names.digits) * example.sets.load_set(names.digits)[0].images
        assert_same(points, np.round(points))
        assert points.max() == example.sets.points_a_pixel(names.digits)

    def test_a_limit_draws_images_with_their_labels(self, example, shared_data, tmp_path) -> None:
        """MNIST's test files stand for both parts: the files to train with are not at hand."""
        folder = tmp_path / "mnist"
        folder.mkdir()
        for kind in ("images-idx3", "labels-idx1"):
            for part in ("train", "t10k"):
                shutil.copy(shared_data / "mnist" / f"t10k-{kind}-ubyte.gz", folder / f"{part}-{kind}-ubyte.gz")
        whole, _ = example.sets.load_set(example.sets.Name.mnist, data=tmp_path)
        few, tested = example.sets.load_set(example.sets.Name.mnist, data=tmp_path, limit=50)
        assert few.images.shape == tested.images.shape == (50, 28, 28)
        assert len(set(pairs(*few[:2]))) == 50
        assert set(pairs(*few[:2])) <= set(pairs(*whole[:2]))
        assert (few.images != tested.images).any()

    def test_what_is_not_there(self, example, tmp_path) -> None:
        with pytest.raises(InputError, match=r"`path` \(.*usps\) does not exist"):
            example.sets.load_set(example.sets.Name.usps, data=tmp_path)
        with pytest.raises(InputError, match=r"`path` \(.*mnist\) does not exist"):
            example.sets.load_set(example.sets.Name.mnist_test, data=tmp_path)
        with pytest.raises(InputError, match=r"`limit` must be at least 1; got 0"):
            example.sets.load_set(example.sets.Name.digits, limit=0)


class TestCommand:
    def run(self, example, *words: object, code: int = 0):
        done = CliRunner().invoke(example.train.app, [str(word) for word in words])
        assert done.exit_code == code, done.output
        return done

    def test_trains_saves_and_says_how_good_it_is(self, example, tmp_path) -> None:
        folder = tmp_path / "new" / "models"
        words = ("--source", "digits", "--target", "digits", "--limit", 300, "--epochs", 2, "--classifier-epochs", 4)
        done = self.run(example, *words, "--latent", 3, "--seed", 5, "--output", folder)
        progress = [line.split("  ")[:2] for line in done.stderr.splitlines()]
        assert progress == [
            ["digits: 300 images to train with, 300 to test"],
            *(["digits vae", f"epoch {number} of 2"] for number in (1, 2)),
            # One set twice is trained once.
            *(["digits classifier", f"epoch {number} of 4"] for number in (1, 2, 3, 4)),
        ]
        # What it says is true of what it saved.
        train, test = example.sets.load_set(example.sets.Name.digits, limit=300, seed=5)
        vae = example.files.load(folder / "digits.vae", example.vae.ConditionalVAE)
        classifier = example.files.load(folder / "digits.classifier", example.classifier.Classifier)
        codes = vae.encode(test.images, test.labels)
        decoded = vae.decode(codes, test.labels)
        means = np.stack([train.images[train.labels == label].mean(axis=0) for label in range(10)])
        lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if not line.startswith("Class means"))
        assert lines["digits"].startswith("300 images not seen in training; ")
        assert lines["Autoencoder"] == f"squared error {np.mean((decoded - test.images) ** 2):#.3g} a pixel"
        by_class = np.mean((means[test.labels] - test.images) ** 2)
        assert f"squared error {by_class:#.3g} a pixel, instead of autoencoding\n" in done.stdout
        spread = np.sort(codes.std(axis=0))
        assert lines["Codes"] == f"standard deviations from {spread[0]:#.2g} to {spread[-1]:#.2g}"
        assert lines["Classifier"] == f"{100 * np.mean(classifier.predict(test.images) == test.labels):.2f} % right"
        assert lines["Both"].startswith(f"{100 * np.mean(classifier.predict(decoded) == test.labels):.2f} % right")
        assert lines["Wrote"] == str(folder / "digits.classifier")
        assert vae.hyperparameters() == {"shape": (8, 8), "latent": 3, "classes": 10, "channels": 32, "hidden": 256}

    def test_the_record_has_both_sets(self, example, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(example.train, "_train_set", lambda name, *_, **options: {"set": name, **options})
        monkeypatch.setattr(example.train, "load_set", lambda *_, **__: example.sets.load_set(example.sets.Name.digits))
        monkeypatch.setattr(example.train, "_lines", lambda *_: [])
        done = self.run(example, "--epochs", 7, "--output", tmp_path, "--json")
        options = {"epochs": [7, None], "latent": 15, "seed": 0}
        assert json.loads(done.stdout) == {
            "sets": {name: {"set": name, **options} for name in ("fashion-mnist", "mnist")}
        }

    @pytest.mark.parametrize("name", ["digits", "mnist-test"])
    def test_how_often_and_how_exactly_a_set_is_seen(self, name, example, tmp_path, monkeypatch) -> None:
        seen = {}

        def stop(images, labels, **options):
            seen.update(options, images=len(images))
            raise InputError("enough")

        digits = example.sets.load_set(example.sets.Name.digits)
        monkeypatch.setattr(example.train, "load_set", lambda *_, **__: digits)
        monkeypatch.setattr(example.train, "train_vae", stop)
        words = ("--source", name, "--target", name, "--output", tmp_path)
        self.run(example, *words, code=2)
        # 1,438 images are 22 steps.
        assert (seen["images"], seen["epochs"], seen["counts"]) == (1438, 69, {"digits": 16}.get(name, 1))
        vae = example.start.fresh(example.vae.ConditionalVAE, 0, shape=(8, 8))
        monkeypatch.setattr(example.train, "train_vae", lambda *_, **options: vae)
        monkeypatch.setattr(example.train, "train_classifier", stop)
        self.run(example, *words, code=2)
        assert seen["epochs"] == 69
        self.run(example, *words, "--classifier-epochs", 3, code=2)
        assert seen["epochs"] == 3

    def test_what_is_missing_is_said_before_anything_is_trained(self, example, tmp_path) -> None:
        words = ("--source", "digits", "--target", "kmnist", "--data", tmp_path, "--output", tmp_path / "models")
        done = self.run(example, *words, code=2)
        assert "epoch" not in done.output
        assert "kmnist) does not exist" in done.stderr
        assert not (tmp_path / "models").exists()
        (tmp_path / "file").touch()
        done = self.run(example, "--source", "digits", "--target", "digits", "--output", tmp_path / "file", code=2)
        assert "cannot be made" in done.stderr
        assert "epoch" not in done.output
