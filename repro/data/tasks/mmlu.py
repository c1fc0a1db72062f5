"""MMLU as OLMo's in-loop evaluators ask it, seven times over (olmo/eval/downstream.py, ``prompt_variations=1``)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from repro.data.tasks.rows import Row

SHOTS = 5  # at most


def variants(questions: Iterable[Row], solved: Sequence[Row]) -> Iterator[Row]:
    """Each question seven times, with what is shown before it as ``shown`` and which time it is as ``variant``.

    First nothing; then a sentence that names the subject; then that sentence and one to five solved questions of the
    subject, always the first of them.

    Args:
        questions: with ``question``, ``subject``, ``choices`` and ``answer``, the number of the right choice.
        solved: such questions too, of each subject five or more.
    """
    by_subject = defaultdict(list)
    for one in solved:
        by_subject[one["subject"]].append(one)
    for question in questions:
        for variant, shown in enumerate(_shown(question["subject"], by_subject[question["subject"]])):
            yield question | {"shown": shown, "variant": variant}


def _shown(subject: str, solved: Sequence[Row]) -> Iterator[str]:
    yield ""
    said = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}:\n\n"
    yield said
    for one in solved[:SHOTS]:
        said += f"Question: {one['question'].strip()}\nAnswer: {one['choices'][one['answer']]}\n\n"
        yield said
