"""Products keep the precision of their numbers on hardware that has a coarser one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier._products import contract, product
from brenier.potentials import ICNN, MLP, AbstractFunction, ModulatedICNN, Quadratic
from brenier.solvers import BFGS, LBFGS, Anderson

HIGHEST = jax.lax.Precision.HIGHEST


def precisions(function, *arguments) -> list:
    """The precision of every product in a function, those of its loops and calls as well."""
    found, jaxprs = [], [jax.make_jaxpr(function)(*arguments).jaxpr]
    while jaxprs:
        for equation in jaxprs.pop().eqns:
            if equation.primitive.name == "dot_general":
                found.append(equation.params["precision"])
            jaxprs += [getattr(inner, "jaxpr", inner) for inner in jax.tree.leaves(
                list(equation.params.values()), is_leaf=lambda node: hasattr(node, "eqns") or hasattr(node, "jaxpr")
            ) if hasattr(getattr(inner, "jaxpr", inner), "eqns")]  # fmt: skip
    return found


def functions() -> dict[str, AbstractFunction]:
    rng = np.random.default_rng(0)
    family = ModulatedICNN(3, 1, 2, (8, 8), rng=rng)
    return {
        "ICNN": ICNN(3, (8, 8), rng=rng),
        "MLP": MLP(3, (8, 8), rng=rng),
        "Quadratic": Quadratic.identity(3),
        "one condition": family.at(jnp.zeros(3)),
        "many conditions": family.under(family.changes(jnp.zeros((4, 3)))),
    }


@pytest.mark.parametrize("name", list(functions()))
@pytest.mark.parametrize("order", ["gradient", "hessian"])
def test_derivatives_of_potentials_multiply_in_full(name: str, order: str) -> None:
    found = precisions(getattr(functions()[name], order), jnp.ones((4, 3)))
    assert len(found) > 1
    assert set(found) == {(HIGHEST, HIGHEST)}


@pytest.mark.parametrize("solver", [BFGS(), LBFGS(memory=2), Anderson(memory=2)], ids=lambda own: type(own).__name__)
def test_steps_of_solvers_multiply_in_full(solver) -> None:
    def step(x):
        state = solver.update(solver.init(x), x, 2.0 * x)
        return solver.direction(lambda points: points, x, x, state)

    found = precisions(step, jnp.ones((4, 3)))
    assert found
    assert set(found) == {(HIGHEST, HIGHEST)}


def test_a_precision_that_is_asked_for_is_taken() -> None:
    u = functions()["ICNN"]
    with jax.default_matmul_precision("tensorfloat32"):
        found = precisions(u.gradient, jnp.ones((4, 3)))
    assert all(HIGHEST not in pair for pair in found)


def test_values_are_those_of_numpy(rng) -> None:
    a, b = rng.standard_normal((5, 3)).astype(np.float32), rng.standard_normal((3, 4)).astype(np.float32)
    np.testing.assert_allclose(product(jnp.asarray(a), jnp.asarray(b)), a @ b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(contract("ij,jk->ki", jnp.asarray(a), jnp.asarray(b)), (a @ b).T, rtol=1e-5, atol=1e-6)
