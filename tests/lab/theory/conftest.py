import numpy as np
import pytest

from dus.lab.theory import random_hidden, random_markov, random_variable_order, true_law

SOURCES = {
    "first order": random_markov(3, 1, 0.7, seed=3),
    "second order, two strands": random_markov(2, 2, 0.8, lag=2, seed=4),
    "third order": random_markov(2, 3, 0.9, lag=3, seed=5),
    "variable order": random_variable_order(2, 3, 0.6, seed=6),
    "hidden": random_hidden(3, 2, 0.9, seed=7),
}


@pytest.fixture(params=list(SOURCES), scope="session")
def source(request):
    return SOURCES[request.param]


@pytest.fixture(scope="session")
def joint():
    """The joint table `[V] * length` of a source, by multiplying out."""

    def of(source, length):
        return true_law(source, length).reshape((source.vocab,) * length)

    return of


@pytest.fixture(scope="session")
def table_entropies():
    """Entropies of all subsets of a joint table's axes, by summing it up."""

    def of(table):
        length = table.ndim
        found = np.empty(1 << length)
        for mask in range(1 << length):
            law = table.sum(axis=tuple(axis for axis in range(length) if not mask >> axis & 1)).ravel()
            law = law[law > 0]
            found[mask] = -(law * np.log(law)).sum()
        return found

    return of
