import pytest


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
    """The folder of a freshly built tokenizer."""
    from dus.training import tokenizer

    folder = tmp_path_factory.mktemp("vocabulary")
    tokenizer.build().save_pretrained(folder)
    return folder
