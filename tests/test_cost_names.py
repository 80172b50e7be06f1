"""Names of transport costs: in map files, on the command line and in messages."""

import json

import numpy as np
import pytest

from brenier import InputError
from brenier.cli.cost_names import parse_cost
from brenier.costs import (
    COSTS,
    Convex,
    ElasticNet,
    GreatCircle,
    LogCosh,
    Mahalanobis,
    PNorm,
    SquaredEuclidean,
    from_record,
    to_record,
)

OWN = Convex(lambda z: 0.5 * (z**2).sum(axis=1), lambda z: z, lambda p: p)
NAMED = [
    SquaredEuclidean(),
    Mahalanobis([[4.0, 1.0], [1.0, 0.5]]),
    PNorm(1.5),
    LogCosh(),
    LogCosh(0.3),
    ElasticNet(0.5),
    GreatCircle(),
]


@pytest.mark.parametrize("cost", NAMED, ids=str)
def test_costs_are_made_again_from_their_records(cost):
    again = from_record(json.loads(json.dumps(to_record(cost))))
    assert type(again) is type(cost) is COSTS[cost.name]
    assert again == cost
    assert hash(again) == hash(cost)
    assert to_record(again) == {"name": cost.name, "arguments": cost.arguments()}
    assert again != from_record({"name": "pnorm", "arguments": {"p": 7.0}})


def test_records_that_cannot_be_made_or_read():
    class Unknown(SquaredEuclidean):
        name = "unknown"

    with pytest.raises(InputError, match="holds no code"):
        to_record(OWN)
    with pytest.raises(InputError, match="does not have `Unknown` as 'unknown'"):
        to_record(Unknown())
    for record, words in [
        (
            {"name": "cubic", "arguments": {}},
            "'cubic', which is not in .*elastic-net, great-circle, log-cosh",
        ),
        ({"name": "pnorm"}, "must have a `name` and `arguments`"),
        (["pnorm"], "must have a `name` and `arguments`"),
        ({"name": ["pnorm"], "arguments": {}}, "is not in"),
        ({"name": "pnorm", "arguments": {"q": 1.5}}, "`arguments` of the cost 'pnorm' do not fit.*'q'"),
        ({"name": "pnorm", "arguments": 1.5}, "`arguments` of the cost 'pnorm' must be a mapping"),
        ({"name": "pnorm", "arguments": {"p": 0.5}}, "`p`.*got 0.5"),
    ]:
        with pytest.raises(InputError, match=words):
            from_record(record)


def test_costs_read_well():
    assert str(SquaredEuclidean()) == "SquaredEuclidean()"
    assert str(PNorm(3)) == "PNorm(p=3.0)"
    assert str(Mahalanobis([[2.0]])) == "Mahalanobis(A=[[2.0]])"
    assert str(Mahalanobis(np.eye(50))) == "Mahalanobis(A of 50 columns)"
    assert str(OWN) == "Convex(h=<lambda>)"


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("squared", SquaredEuclidean()),
        ("pnorm:1.5", PNorm(1.5)),
        (" pnorm : 3 ", PNorm(3.0)),
        ("log-cosh", LogCosh()),
        ("log-cosh:0.3", LogCosh(0.3)),
        ("elastic-net:0.5", ElasticNet(0.5)),
        ("great-circle", GreatCircle()),
    ],
)
def test_the_command_line_spells_costs(text, cost):
    assert parse_cost(text) == cost


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_the_command_line_reads_matrices(suffix, tmp_path):
    path, matrix = tmp_path / f"a{suffix}", np.array([[4.0, 1.0], [1.0, 0.5]])
    if suffix == ".npy":
        np.save(path, matrix)
    else:
        np.savetxt(path, matrix, delimiter=",")
    assert parse_cost(f"mahalanobis:{path}") == Mahalanobis(matrix)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "cubic",
            r"`cost` must be one of elastic-net:L1, great-circle, log-cosh\[:WIDTH\], mahalanobis:FILE, pnorm:P",
        ),
        ("", "`cost` must be one of"),
        ("pnorm", "'pnorm' needs its argument: write pnorm:P"),
        ("log-cosh:", r"'log-cosh' needs its argument: write log-cosh\[:WIDTH\]"),
        ("pnorm:two", "'pnorm' needs a number, pnorm:P; got 'two'"),
        ("pnorm:0.5", "`p` must be a finite number greater than 1"),
        ("squared:2", "'squared' takes no argument.*Leave out ':2'"),
        ("mahalanobis:none.npy", "`none.npy` cannot be read"),
    ],
)
def test_the_command_line_says_what_is_wrong(text, words):
    with pytest.raises(InputError, match=words):
        parse_cost(text)


def test_costs_without_an_argument_are_parsed_by_their_name_alone(monkeypatch):
    class Round(SquaredEuclidean):
        name = "round"

    monkeypatch.setitem(COSTS, "round", Round)
    assert isinstance(parse_cost("round"), Round)
