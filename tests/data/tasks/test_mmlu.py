"""MMLU, seven times over."""

from repro.data.tasks.mmlu import variants


def question(text, subject="high_school_physics"):
    return {"question": text, "subject": subject, "choices": ["no", "yes"], "answer": 1}


def test_each_question_is_shown_with_more_solved_ones_of_its_subject():
    solved = [question(f" {n}?") for n in range(7)] + [question("other", "anatomy")]
    found = list(variants([question("a"), question("b")], solved))
    assert [row["variant"] for row in found] == [*range(7)] * 2
    said = "The following are multiple choice questions (with answers) about high school physics:\n\n"
    assert [row["shown"] for row in found[:3]] == ["", said, f"{said}Question: 0?\nAnswer: yes\n\n"]
    assert found[6]["shown"].count("Answer: yes\n\n") == 5
    assert "other" not in found[6]["shown"]
    assert [row["question"] for row in found] == ["a"] * 7 + ["b"] * 7
