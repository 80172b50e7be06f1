"""Images as clouds of colours: exact round trips, every pixel type, and files that are not pictures."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from brenier._errors import InputError
from brenier.files.images import is_image, read_image, to_colours, to_image, write_image

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)

pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3)))


class TestFiles:
    @pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.TIFF"])
    def test_lossless_round_trip(self, tmp_path: Path, name: str) -> None:
        write_image(tmp_path / name, PICTURE)
        result = read_image(str(tmp_path / name))
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, PICTURE)
        assert [entry.name for entry in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize(("name", "kind"), [("a.jpg", "JPEG"), ("a.jpeg", "JPEG"), ("a.webp", "WEBP")])
    def test_lossy_round_trip(self, tmp_path: Path, name: str, kind: str) -> None:
        smooth = np.full((16, 16, 3), [200, 100, 50], np.uint8)
        write_image(tmp_path / name, smooth)
        assert np.abs(read_image(tmp_path / name).astype(int) - smooth).max() <= 4
        with Image.open(tmp_path / name) as image:
            assert image.format == kind

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
    def test_pixel_types(self, tmp_path: Path, mode: str) -> None:
        image = Image.fromarray(PICTURE).convert(mode)
        image.save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.array(image.convert("RGB")))

    def test_cmyk(self, tmp_path: Path) -> None:
        Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "a.tif")
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.full((2, 3, 3), [255, 0, 0]))

    def test_grey_has_three_equal_channels(self, tmp_path: Path) -> None:
        Image.fromarray(PICTURE[:, :, 0]).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.repeat(PICTURE[:, :, :1], 3, axis=2))

    def test_transparent_palettes(self, tmp_path: Path) -> None:
        image = Image.fromarray(PICTURE).convert("P")
        image.save(tmp_path / "a.png", transparency=bytes(range(256)))
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.array(image.convert("RGB")))

    def test_16_bit_grey_is_rounded(self, tmp_path: Path) -> None:
        levels = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
        Image.fromarray(levels).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, :, 1], [0, 0, 1, 1, 128, 255])

    def test_orientation_is_applied(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned by a quarter
        Image.fromarray(PICTURE).save(tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(PICTURE, -1))

    def test_previews_of_cameras_are_ignored(self, tmp_path: Path) -> None:
        picture = Image.fromarray(PICTURE)
        picture.save(tmp_path / "a.mpo", format="MPO", save_all=True, append_images=[picture.resize((2, 2))])
        (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
        assert read_image(tmp_path / "a.jpg").shape == PICTURE.shape

    @pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.webp", "WEBP"), ("a.tif", "TIFF")])
    def test_animations_are_refused(self, tmp_path: Path, name: str, kind: str) -> None:
        frames = [Image.fromarray(PICTURE), Image.fromarray(255 - PICTURE)]
        frames[0].save(tmp_path / name, format=kind, save_all=True, append_images=frames[1:])
        with pytest.raises(InputError, match=rf"{name}` is animated or has pages \(2 frames\). Save one of"):
            read_image(tmp_path / name)

    @pytest.mark.parametrize("levels", [np.full((2, 2), 0.5, np.float32), np.full((2, 2), -1, np.int32)])
    def test_pixels_without_a_range_are_refused(self, tmp_path: Path, levels: np.ndarray) -> None:
        Image.fromarray(levels).save(tmp_path / "a.tif")
        with pytest.raises(InputError, match=r"a.tif` has pixels of the mode '[FI]', whose range is unknown. Save"):
            read_image(tmp_path / "a.tif")

    @pytest.mark.parametrize("content", [b"", b"not a picture", None])
    def test_damaged_files(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "a.png"
        write_image(path, PICTURE)
        path.write_bytes(path.read_bytes()[:60] if content is None else content)
        with pytest.raises(
            InputError, match=r"a.png` cannot be read as an image: .*. Check the path, or save it again"
        ):
            read_image(path)

    def test_bombs_are_not_unpacked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_image(tmp_path / "a.png", PICTURE)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        with pytest.raises(InputError, match=r"a.png` cannot be read as an image: .*decompression bomb"):
            read_image(tmp_path / "a.png")

    def test_missing_files(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"a.png` cannot be read as an image: No such file or directory"):
            read_image(tmp_path / "a.png")

    def test_suffixes(self, tmp_path: Path) -> None:
        assert is_image("a.png")
        assert is_image(tmp_path / "a.JPG")
        assert not is_image("a.csv")
        message = "a.gif` must end in .png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff; got '.gif'"
        with pytest.raises(InputError, match=message):
            read_image(tmp_path / "a.gif")
        with pytest.raises(InputError, match=message):
            write_image(tmp_path / "a.gif", PICTURE)

    @pytest.mark.parametrize("image", [PICTURE / 255.0, PICTURE[0], PICTURE[:, :, :2], PICTURE[:0]])
    def test_arrays_that_are_no_image(self, tmp_path: Path, image: np.ndarray) -> None:
        with pytest.raises(InputError, match=r"`image` must be uint8 of shape \(height, width, 3\); got"):
            write_image(tmp_path / "a.png", image)
        assert not list(tmp_path.iterdir())

    def test_a_failed_write_keeps_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.png"
        write_image(path, PICTURE)

        def fail(image: Image.Image, handle: object, **options: object) -> None:
            raise OSError("encoder error")

        monkeypatch.setattr(Image.Image, "save", fail)
        with pytest.raises(InputError, match=r"a.png` cannot be written: encoder error"):
            write_image(path, 255 - PICTURE)
        np.testing.assert_array_equal(read_image(path), PICTURE)
        assert list(tmp_path.iterdir()) == [path]


class TestColours:
    @given(pictures)
    def test_round_trip(self, picture: np.ndarray) -> None:
        colours = to_colours(picture)
        assert colours.shape == (picture.size // 3, 3)
        assert colours.dtype == np.float64
        assert colours.min() >= 0
        assert colours.max() <= 1
        image, clipped = to_image(colours, picture.shape)
        np.testing.assert_array_equal(image, picture)
        assert clipped == 0

    def test_rows_are_pixels_in_reading_order(self) -> None:
        np.testing.assert_array_equal(to_colours(PICTURE)[8], PICTURE[1, 1] / 255)

    def test_values_outside_are_clipped_and_counted(self) -> None:
        colours = np.array([[-0.5, 0.5, 1.5], [-0.001, 1.001, np.inf]], np.float32)
        image, clipped = to_image(colours, (1, 2))
        np.testing.assert_array_equal(image, [[[0, 128, 255], [0, 255, 255]]])
        assert clipped == 0.5

    def test_input_is_unchanged(self) -> None:
        colours = to_colours(PICTURE) * 3 - 1
        before = colours.copy()
        to_image(colours, PICTURE.shape)
        np.testing.assert_array_equal(colours, before)

    def test_refusals(self) -> None:
        with pytest.raises(InputError, match=r"`colours` must have shape \(6, 3\) for an image of 2 x 3; got \(5, 3\)"):
            to_image(np.zeros((5, 3)), (2, 3))
        colours = np.zeros((6, 3))
        colours[[1, 4], [0, 2]] = np.nan
        with pytest.raises(InputError, match=r"`colours` has NaN in 2 pixels. Check the map"):
            to_image(colours, (2, 3))
