"""`brenier transform`: move points, or the colours of an image, by a map."""

from pathlib import Path
from typing import Annotated, Any

import typer

from brenier._errors import InputError
from brenier.cli.cells import Layer, Obsm, is_cells, key_of, part
from brenier.cli.clouds import FORMATS, Cloud, Key, check_columns, check_output, check_table
from brenier.cli.console import Json, number, print_result, reporting, share
from brenier.cli.moving import Moved, add_to_cells, in_parts, is_folder, move, transform_rows
from brenier.cli.opened import At, OpenMap
from brenier.cli.status import status_line, status_record
from brenier.cli.streamed import Memory

__all__ = ["transform"]


def transform(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier fit`.")],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=f"Points to move: {FORMATS}.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUTPUT", help="File to write: a table, an image or .h5ad, as INPUT is."
        ),
    ],
    inverse: Annotated[bool, typer.Option("--inverse", help="Move points of the target back to the source.")] = False,
    t: Annotated[float, typer.Option(metavar="T", help="Share of the way to go: 0 stays, 1 arrives.")] = 1.0,
    at: At = None,
    obsm: Obsm = None,
    layer: Layer = None,
    key: Key = None,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Move the points in INPUT by the map, or back by its inverse.

    Names of columns are kept, images keep their size. An inverse is a numerical solve for each row: the status says
    how many rows missed the tolerance, and which (counted from 0); they hold the best points found. For other costs
    than squared distances, it also has the share of rows for which two starts led to different points.

    Maps with conditions read them from the columns of INPUT that the fit had, or take all rows under that of `--at`.
    Where INPUT has these columns, OUTPUT has them behind the points: as they were, so that the file can be moved on or
    back, or with the value of `--at`. An .npz archive has them as arrays; an .npy file has the points alone. So it is
    with the column of weights that the fit had.

    An .h5ad file as OUTPUT is a copy of INPUT, with the moved points beside those that were moved: obsm X_pca gives
    X_pca_transported, X and layers give the layer transported; it is transported_back with --inverse, and interpolated
    with --t. What has that name already is replaced; uns/brenier says how it came about.

    Tables of any size are moved in parts, where they would take more than `--memory`; the results are the same.

    Example: `brenier transform effect.brenier control.csv -o moved.csv --t 0.5`

    With a condition for all rows: `brenier transform effect.brenier men.csv -o moved.csv --at men`
    """
    with reporting(as_json, condition="--at" if at else source):
        if not 0.0 <= t <= 1.0:
            raise InputError(f"`--t` must lie between 0 and 1; got {t}.")
        _check_formats(source, output)
        if is_folder(output):
            from brenier.files.zarr import check_folder

            check_folder(output)
            if output.exists() and output.resolve() == source.resolve():
                raise InputError(f"`{output}` is also an input, and would be overwritten. Name another folder.")
        else:
            check_output(output, source, map_file)
        from brenier.files import to_image, write_image, write_points

        opened, own_key = OpenMap.load(map_file, at), key_of(source, key, part(obsm, layer, source))
        if in_parts(source, output, own_key, memory):
            record = transform_rows(opened, source, output, own_key, inverse, t)
            print_result(record, [*_lines(record), *opened.lines()], as_json=as_json)
            return
        map_, cloud = opened.map_, opened.read(source, own_key)
        check_columns(cloud, map_)
        if cloud.image:
            moved = _move_image(map_, cloud, inverse, t)
        else:
            moved = move(map_, cloud.table.values, inverse, t, opened.condition(cloud.conditions))
        record: dict[str, Any] = {"output": str(output), "rows": len(moved.points), "inverse": inverse, "t": t}
        record |= opened.record()
        if inverse:
            record |= status_record(moved.failed) | {"largest_residual": moved.residual, "reasons": dict(moved.reasons)}
            record["disagree"] = None if moved.disagree is None else float(moved.disagree.mean())
        if cloud.image:
            image, clipped = to_image(moved.points, cloud.image)
            record |= {"size": [cloud.image[1], cloud.image[0]], "clipped": clipped}
            write_image(output, image)
        elif is_cells(output):
            record["added"] = add_to_cells(map_, source, cloud.part, output, moved.points, inverse, t)
        else:
            names = cloud.table.columns or map_.columns
            beside = [*cloud.conditions, *([] if cloud.weight is None else [cloud.weight])]
            write_points(output, moved.points, names, beside)
        print_result(record, [*_lines(record), *opened.lines()], as_json=as_json)


def _check_formats(source: Path, output: Path) -> None:
    from brenier.files import is_image

    if is_image(source) != is_image(output):
        kinds = ("an image", "a table of points")
        first, second = kinds if is_image(source) else kinds[::-1]
        raise InputError(f"`{source}` is {first}, so the output must be one, too; `{output}` is {second}.")
    if is_cells(output) and not is_cells(source):
        raise InputError(
            f"`{output}` is to be INPUT with something added, but `{source}` is no .h5ad file. Name a table."
        )
    if not is_image(output) and not is_cells(output) and not is_folder(output):
        check_table(output)


def _move_image(map_: Any, cloud: Cloud, inverse: bool, t: float) -> Moved:  # noqa: ANN401
    """Move every distinct colour once."""
    import numpy as np

    levels = np.round(cloud.table.values * 255.0).astype(np.int64)
    _, first, number_of = np.unique(levels @ np.array([1 << 16, 1 << 8, 1]), return_index=True, return_inverse=True)
    moved = move(map_, cloud.table.values[first], inverse, t)
    failed = np.flatnonzero(np.isin(number_of, moved.failed))
    disagree = None if moved.disagree is None else moved.disagree[number_of]
    return moved._replace(points=moved.points[number_of], failed=failed, disagree=disagree)


def _lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    size = f"{record['size'][0]} x {record['size'][1]} pixels" if "size" in record else f"{record['rows']} rows"
    way = "towards the source" if record["inverse"] else "towards the target"
    lines = [("Output", f"{record['output']}   {size}, {share(record['t'])} of the way {way}")]
    if "added" in record:
        lines.append(
            ("Added", f"{record['added']}   all else is that of the input; uns/brenier says how it came about")
        )
    if record["inverse"]:
        residual = number(record["largest_residual"], 3)
        lines.append(status_line(record, f"; largest residual {residual} in units of the target"))
        lines += [("Reason", f"{count} of them: {sentence}") for sentence, count in record["reasons"].items()]
        if record["disagree"]:
            text = (
                f"at {share(record['disagree'])} of the rows two starts differ; of their solutions the better was taken"
            )
            lines.append(("Several", text))
    if "clipped" in record:
        lines.append(("Clipped", f"{share(record['clipped'])} of the channel values lay outside 0 to 255"))
    return lines
