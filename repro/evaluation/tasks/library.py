"""lm-eval, without what it says and without the network."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

from repro.errors import RunError

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE")


def load() -> None:
    """Import lm-eval and what it fetches data with, which will fetch nothing if it was not in use already.

    Raises:
        RunError: it is not installed.
    """
    before = {name: os.environ.get(name) for name in OFFLINE}
    os.environ |= dict.fromkeys(OFFLINE, "1")
    try:
        import lm_eval.evaluator
        import lm_eval.tasks  # noqa: F401
    except ImportError as error:
        raise RunError(f"tasks need lm-eval ({error}): pip install 'polycom-repro[eval]'") from error
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def quiet() -> Iterator[None]:
    """lm-eval's log, its bars and those of ``datasets`` are not for people here; its templates are compiled once.

    It compiles a template whenever one is used, which takes longer than a small model takes for the answer.
    """
    import datasets
    from lm_eval import utils
    from lm_eval.api import task

    logger, bars, compiles = logging.getLogger("lm_eval"), task.tqdm, utils.env.from_string
    level, shown = logger.level, not datasets.are_progress_bars_disabled()
    logger.setLevel(logging.CRITICAL)
    task.tqdm = partial(bars, disable=True)
    utils.env.from_string = lru_cache(compiles)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        task.tqdm = bars
        utils.env.from_string = compiles
        if shown:
            datasets.enable_progress_bars()
