"""Maps in PyTorch and StableHLO: the same numbers as the original, also in processes without brenier."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from asserts import assert_at_most, assert_close
from brenier import InputError, TransportMap
from brenier.cli import app
from brenier.export import save_stablehlo, save_torch, to_torch
from commands import as_json, run
from made import SHIFT, conditional_map, conditions, in_double, points, transport_map

torch = pytest.importorskip("torch")

ROWS = 60

MAPS = {
    "quadratic": lambda: transport_map("quadratic"),
    "ramp": lambda: transport_map("icnn-ramp"),
    "celu": lambda: transport_map("icnn-celu"),
    "softplus": lambda: transport_map("icnn-softplus"),
    "inert": lambda: transport_map("icnn-ramp", inert=(0, 2)),
    "mlp-ramp": lambda: transport_map("mlp-ramp"),
    "mlp-celu": lambda: transport_map("mlp-celu"),
    "mlp-softplus": lambda: transport_map("mlp-softplus"),
    "classes": lambda: conditional_map(3, 0),
    "number": lambda: conditional_map(1, 1),
    "both": lambda: conditional_map(2, 2),
    "smooth": lambda: conditional_map(2, 1, activation="softplus"),
}
CONVEX = [kind for kind in MAPS if not kind.startswith("mlp")]


def arguments(map_: TransportMap, rng: np.random.Generator, rows: int = ROWS):
    """Source points with conditions, as the map takes them and as programs do."""
    x = points(map_, rows, rng)
    if map_.conditions is None:
        return (x, None), (x,)
    codes, columns = conditions(map_, rows, rng)
    return (x, pd.DataFrame(columns)), (x, codes)


def tensors(arrays, dtype=np.float64):
    return [torch.tensor(np.asarray(array, dtype)) for array in arrays]


@pytest.mark.parametrize("kind", MAPS)
def test_images_are_those_of_the_map(kind, rng):
    map_ = MAPS[kind]()
    ours, theirs = arguments(map_, rng)
    expected = map_.forward(ours[0], condition=ours[1])
    with torch.no_grad():
        found = to_torch(map_)(*tensors(theirs)).numpy()
    assert_close(found / expected.std(), expected / expected.std(), atol=1e-5)


@pytest.mark.parametrize("kind", MAPS)
def test_images_in_double_precision_agree_to_its_digits(kind, rng, x64):
    """The reference is the gradient that JAX differentiates, in float64 inside the map's own coordinates."""
    map_ = in_double(MAPS[kind]())
    ours, theirs = arguments(map_, rng, 5)
    found = to_torch(map_, dtype="float64")(*tensors(theirs)).detach().numpy()
    for row in range(5):
        one = map_
        if map_.conditions is not None:
            code = map_.codes(ours[1].iloc[[row]], 1)[0]
            one = TransportMap(map_.geometry.at(code), map_.potential.at(jax.numpy.asarray(code)))
        c = one.geometry
        inner = one.potential.gradient(jax.numpy.asarray(c.precise_x(ours[0][[row]])))
        assert_close(found[[row]], c.leave_y(np.asarray(inner)), atol=1e-10)


@pytest.mark.parametrize("kind", CONVEX)
def test_preimages_are_found_to_the_tolerance(kind, rng):
    map_ = MAPS[kind]()
    ours, theirs = arguments(map_, rng)
    y = map_.forward(ours[0], condition=ours[1])
    module = to_torch(map_, dtype="float64")
    found = module.inverse_with_status(*tensors((y, *theirs[1:])), rtol=1e-10, atol=1e-10)
    assert bool(found.converged.all())
    back = module(found.points, *tensors(theirs[1:]))
    assert_close(back.detach().numpy(), y, atol=1e-8 * np.abs(y).max())
    assert_close(found.residual.detach().numpy(), np.linalg.norm(back.detach().numpy() - y, axis=1), atol=1e-9)
    single = to_torch(map_).inverse_with_status(*tensors((y, *theirs[1:])))
    assert bool(single.converged.all())
    assert_close(map_.forward(single.points.detach().numpy(), condition=ours[1]), y, atol=3e-5 * y.std())
    assert_at_most(single.steps.numpy(), 100, "steps")


def test_what_is_not_found_is_marked(rng):
    map_ = transport_map("icnn-ramp")
    module = to_torch(map_)
    y = torch.tensor(map_.forward(points(map_, 4, rng)))
    y[1, 0], y[2, 1] = torch.nan, torch.inf
    found = module.inverse_with_status(y)
    assert found.converged.tolist() == [True, False, False, True]
    assert module.inverse(y).isnan().all(dim=1).tolist() == [False, True, True, False]
    hurried = module.inverse_with_status(y[[0, 3]] + 5.0, max_steps=1)
    assert hurried.converged.tolist() == [False, False]
    assert hurried.steps.tolist() == [1, 1]
    assert bool(hurried.points.isfinite().all())


@pytest.mark.parametrize("kind", ["quadratic", "softplus", "inert", "both"])
def test_log_determinants(kind, rng):
    map_ = MAPS[kind]()
    ours, theirs = arguments(map_, rng, 4)
    found = to_torch(map_, dtype="float64").log_det(*tensors(theirs)).detach().numpy()
    for row in range(4):
        # Of the Jacobian that PyTorch differentiates from the images.
        rest = [own[[row]] for own in tensors(theirs[1:])]
        module = to_torch(map_, dtype="float64")
        jacobian = torch.func.jacrev(lambda x, rest=rest, module=module: module(x[None], *rest)[0])(
            tensors(theirs)[0][row]
        )
        assert_close(found[row], np.linalg.slogdet(jacobian.detach().numpy())[1], atol=1e-9)
    condition = None if ours[1] is None else ours[1].iloc[:1]
    assert_close(found[:1], map_.log_det(ours[0][:1], condition=condition), atol=1e-4)


@pytest.mark.parametrize("kind", ["softplus", "both", "quadratic"])
def test_gradients_flow_through_both_directions(kind, rng):
    map_ = MAPS[kind]()
    _, theirs = arguments(map_, rng, 2)
    module = to_torch(map_, dtype="float64")
    x, *rest = tensors(theirs)
    assert torch.autograd.gradcheck(lambda x: module(x, *rest), x.requires_grad_(), atol=1e-6)
    y = module(x, *rest).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: module.inverse(y, *rest, rtol=1e-12, atol=1e-12), y, eps=1e-5, atol=1e-5)
    names = [name for name, _ in module.named_parameters()]
    module.inverse(y, *rest).sum().backward()
    grown = [name for name, parameter in module.named_parameters() if parameter.grad is not None]
    assert set(names) - set(grown) <= {"potential.core.layers.0.root_mix"}


def test_weights_change_what_the_inverse_is(rng):
    """The derivative of a preimage by a weight, against a difference quotient of solves."""
    map_ = transport_map("icnn-softplus")
    module = to_torch(map_, dtype="float64")
    y = torch.tensor(map_.forward(points(map_, 3, rng)))
    bias = module.potential.layers[0].bias
    module.inverse(y, rtol=1e-12, atol=1e-12).sum().backward()
    sums = []
    for step in (-1e-5, 1e-5):
        with torch.no_grad():
            bias[0] += step
            sums.append(float(module.inverse(y, rtol=1e-12, atol=1e-12).sum()))
            bias[0] -= step
    assert_close(float(bias.grad[0]), (sums[1] - sums[0]) / 2e-5, rtol=1e-4)


def test_numbers_outside_the_range_are_its_ends_and_unknown_classes_have_no_image(rng):
    map_ = conditional_map(2, 1)
    module = to_torch(map_)
    x = points(map_, 1, rng)
    high = float(map_.conditions.high[1, 0])
    codes = np.array([[1.0, high], [1.0, high + 9.0], [2.0, 1.0], [-1.0, 1.0], [0.5, 1.0]])
    images = module(torch.tensor(np.repeat(x, 5, axis=0)), torch.tensor(codes)).detach().numpy()
    assert_close(images[1], images[0], atol=1e-6)
    assert np.isnan(images[2:]).all()
    with pytest.raises(ValueError, match=r"`condition` must have the shape \(n, 2\)"):
        module(torch.tensor(x))
    with pytest.raises(ValueError, match="has no conditions"):
        to_torch(transport_map("quadratic"))(torch.tensor(x), torch.tensor(codes[:1]))


def test_single_precision_keeps_the_digits_of_points_far_away(rng):
    """The affine parts are in float64: the error is that of the points, not of their distance times the map's."""
    map_ = transport_map("icnn-ramp")
    x = (SHIFT + rng.standard_normal((50, 3))).astype(np.float32)
    expected = map_.forward(x.astype(np.float64))
    assert_close(to_torch(map_)(torch.tensor(x)).detach().numpy(), expected, atol=1e-5 * expected.std())


ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " was imported")
sys.meta_path.insert(0, Refuse())
import numpy as np
arrays = np.load({inputs!r})
arguments = [arrays[name] for name in arrays.files]
{body}
np.savez({outputs!r}, *[np.asarray(part) for part in found])
"""

RUN_TORCH = """
import torch
program = torch.export.load({path!r}).module()
with torch.no_grad():
    found = program(*map(torch.from_numpy, arguments))
found = [part.numpy() for part in (found if isinstance(found, tuple) else [found])]
"""

RUN_STABLEHLO = """
import zipfile
import jax
jax.config.update("jax_enable_x64", {x64})
program = jax.export.deserialize(bytearray(zipfile.ZipFile({path!r}).read("program.jax")))
found = program.call(*arguments)
found = found if isinstance(found, (list, tuple)) else [found]
"""


def alone(folder: Path, body: str, blocked: set[str], arrays, **names: object) -> list[np.ndarray]:
    """Outputs of a program in a fresh process that may not import brenier."""
    inputs, outputs = str(folder / "in.npz"), str(folder / "out.npz")
    np.savez(inputs, *arrays)
    script = ALONE.format(blocked=blocked, inputs=inputs, outputs=outputs, body=body.format(**names))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not path.endswith("src")]
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env=kept | {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    with np.load(outputs) as found:
        return [found[name] for name in found.files]


def check_program(map_, inverse, dtype, call, rng) -> None:
    """Run a program on more rows than it was traced with, and on one."""
    for rows in (11, 1):
        ours, theirs = arguments(map_, rng, rows)
        images = map_.forward(ours[0], condition=ours[1])
        given = (images, *theirs[1:]) if inverse else theirs
        found = call([np.asarray(array, dtype) for array in given])
        if not inverse:
            assert [part.dtype.name for part in found] == [dtype]
            assert_close(found[0], images, atol=1e-5 * max(images.std(), 1.0))
            continue
        reached, residual, converged, steps = found
        assert converged.all()
        assert (steps > 0).all()
        back = map_.forward(reached.astype(np.float64), condition=ours[1])
        assert_close(back, images, atol=1e-4 * max(images.std(), 1.0))
        assert_at_most(residual, 1e-4 * max(images.std(), 1.0), "residuals")


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "inverse", "dtype"),
    [
        ("ramp", False, "float32"),
        ("quadratic", True, "float64"),
        pytest.param("both", False, "float64", marks=SLOW),
        pytest.param("ramp", True, "float32", marks=SLOW),
    ],
)
def test_programs_of_torch_run_without_brenier_and_jax(kind, inverse, dtype, tmp_path, rng):
    map_, path = MAPS[kind](), tmp_path / "map.pt2"
    record = save_torch(map_, path, inverse=inverse, dtype=dtype)
    extra = {"brenier.json": ""}
    torch.export.load(path, extra_files=extra)
    assert json.loads(extra["brenier.json"]) == json.loads(json.dumps(record))
    blocked = {"brenier", "jax", "equinox"}
    check_program(map_, inverse, dtype, lambda arrays: alone(tmp_path, RUN_TORCH, blocked, arrays, path=str(path)), rng)


STABLEHLO = [
    *((kind, False, "float32") for kind in MAPS),
    ("ramp", True, "float32"),
    ("quadratic", True, "float64"),
    pytest.param("both", True, "float32", marks=SLOW),
    pytest.param("both", True, "float64", marks=SLOW),
    ("classes", True, "float32"),
]


@pytest.mark.parametrize(("kind", "inverse", "dtype"), STABLEHLO)
def test_programs_of_stablehlo_give_the_same_points(kind, inverse, dtype, tmp_path, rng):
    pytest.importorskip("flatbuffers")
    map_, path = MAPS[kind](), tmp_path / "map.zip"
    record = save_stablehlo(map_, path, inverse=inverse, dtype=dtype)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("brenier.json")) == json.loads(json.dumps(record))
        program = jax.export.deserialize(bytearray(archive.read("program.jax")))
    assert set(program.platforms) == {"cpu", "cuda", "tpu"}

    def call(arrays):
        with jax.enable_x64(dtype == "float64"):
            found = program.call(*arrays)
        return [np.asarray(part) for part in (found if inverse else [found])]

    check_program(map_, inverse, dtype, call, rng)


@pytest.mark.parametrize(("kind", "inverse", "dtype"), [("both", False, "float64"), ("ramp", True, "float32")])
def test_programs_of_stablehlo_run_without_brenier(kind, inverse, dtype, tmp_path, rng):
    pytest.importorskip("flatbuffers")
    map_, path, x64 = MAPS[kind](), tmp_path / "map.zip", dtype == "float64"
    save_stablehlo(map_, path, inverse=inverse, dtype=dtype)

    def call(arrays):
        return alone(tmp_path, RUN_STABLEHLO, {"brenier"}, arrays, path=str(path), x64=x64)

    check_program(map_, inverse, dtype, call, rng)


def test_without_what_they_need_programs_say_what_to_install(tmp_path, monkeypatch):
    for name, save in (("torch", save_torch), ("flatbuffers", save_stablehlo)):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            extra = "torch" if name == "torch" else "stablehlo"
            with pytest.raises(InputError, match=rf"pip install 'brenier\[{extra}\]'"):
                save(transport_map("quadratic"), tmp_path / "map")
    with pytest.raises(InputError, match="`dtype` must be 'float32' or 'float64'; got 'half'"):
        to_torch(transport_map("quadratic"), dtype="half")
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path, rng):
    from typer.testing import CliRunner

    transport_map("quadratic").save(tmp_path / "map.brenier")
    found = as_json("export", tmp_path / "map.brenier", "-o", tmp_path / "map.pt2", "--to", "torch")
    assert (found["program"], found["outputs"], found["dim"]) == ("forward", ["points"], 3)
    x = points(transport_map("quadratic"), 3, rng).astype(np.float32)
    images = torch.export.load(tmp_path / "map.pt2").module()(torch.tensor(x)).detach().numpy()
    assert_close(images, transport_map("quadratic").forward(x), atol=1e-4)
    family = conditional_map(2, 1)
    family.save(tmp_path / "family.brenier")
    text = run(
        "export", tmp_path / "family.brenier", "-o", tmp_path / "one.pt2", "--to", "torch", "--at", "k1", "--at", "1.5"
    ).output
    assert "from the source to the target" in text
    assert "k1" in text
    images = torch.export.load(tmp_path / "one.pt2").module()(torch.tensor(x)).detach().numpy()
    assert_close(images, family.forward(x, condition=("k1", 1.5)), atol=1e-4)
    refused = CliRunner().invoke(
        app, ["export", str(tmp_path / "map.brenier"), "-o", str(tmp_path / "x.brenier"), "--to", "torch"]
    )
    assert refused.exit_code == 2
    assert "is to hold a program, not a map. Name it" in refused.stderr
