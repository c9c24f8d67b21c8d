"""What SGLang calls in each of its processes: it adds the algorithm `DUS`, once SGLang's own have been imported.

SGLang finds it by the entry point `sglang.srt.plugins`. Its algorithms take seconds to import, and most servers never
do, so nothing is imported before SGLang itself asks for them.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from inspect import signature
from types import ModuleType

TABLE = "sglang.srt.dllm.algorithm"
"""The module with SGLang's algorithms by name, `algo_name_to_cls`."""

TESTED = "0.5.23"
"""The version of SGLang that the tests run with."""

logger = logging.getLogger(__name__)


def register() -> None:
    """Add the algorithm now if SGLang's are imported, else when they are."""
    if TABLE in sys.modules:
        _add(sys.modules[TABLE])
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


class _Waiting(MetaPathFinder):
    """Adds the algorithm when SGLang's are imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, whose loader adds the algorithm afterwards; None for all other modules."""
        if fullname != TABLE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def then_add(module: ModuleType) -> None:
            execute(module)
            _add(module)

        spec.loader.exec_module = then_add  # type: ignore[method-assign]
        return spec


def _add(table: ModuleType) -> None:
    """Put the algorithm in SGLang's table, or say in one line of its log why not."""
    found = version("sglang")
    try:
        from dus.integrations.sglang import DUS, DllmAlgorithm

        asked, given = (list(signature(cls.step).parameters) for cls in (DllmAlgorithm, DUS))
        if asked != given:
            raise TypeError(f"its algorithms take a step of {', '.join(asked)}")
        table.algo_name_to_cls["DUS"] = DUS
    except Exception as error:  # the server has to start, whatever another version does
        logger.warning("SGLang %s goes without the algorithm DUS, which is made for %s: %s", found, TESTED, error)
        return
    if found != TESTED:
        logger.warning("the algorithm DUS is made for SGLang %s and untested with %s", TESTED, found)
