"""Which machines keep which of the sandbox's promises."""

import sys

import pytest

from dus.evaluation.sandbox import jail

linux = pytest.mark.skipif(sys.platform != "linux", reason="a guarantee on Linux only")
confined = pytest.mark.skipif(jail.landlock_version() == 0, reason="needs Landlock")
sandboxed = pytest.mark.skipif(sys.platform == "win32", reason="there is no sandbox on Windows")
