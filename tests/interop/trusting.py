"""Where transformers keeps code of others that it is trusted with."""

import contextlib
import sys

import pytest
import transformers


@contextlib.contextmanager
def modules_in(folder):
    """Has transformers keep that code in ``folder``, and forget it after, as well as what others left."""
    _forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(folder))
        yield
    _forget()


def _forget():
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        del sys.modules[name]
