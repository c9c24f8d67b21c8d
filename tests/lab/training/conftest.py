import pytest

from .tiny import TINY


@pytest.fixture(scope="session", autouse=True)
def fewer_texts():
    """A tenth of the text that merges are learned from, since most of a moment's run would be spent on it."""
    from dus.lab.training import tokenizer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "PROBLEMS_PER_LEVEL", 600)
        yield


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
    """The folder of a freshly built tokenizer."""
    from dus.lab.training import tokenizer

    folder = tmp_path_factory.mktemp("vocabulary")
    tokenizer.build().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of an unbroken tiny run."""
    from dus.lab.training import run

    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    run.train(folder, TINY)
    return folder
