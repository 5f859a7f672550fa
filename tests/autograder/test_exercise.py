"""Declarations of exercises, their mistakes and their variants."""

import json

import pytest

from dlgrade.assembly import assemble
from dlgrade.build import build
from dlgrade.errors import CourseError
from dlgrade.exercise import CheckCount, Limits, load_mistakes, load_variants
from tests.autograder.small_course import DECLARATION, MATHS, MISTAKES, VARIANT, load, write_course


def run(source):
    """Run trusted source and return what it defines."""
    namespace = {"__name__": __name__}  # dataclasses look their module up
    exec(compile(source, "answer", "exec"), namespace)
    return namespace


def test_staff_declaration_loads(tmp_path):
    """Everything the staff declare is in the record, limits in bytes, kinds read from the source."""
    exercise = load(tmp_path)
    assert [(part.name, part.kind, part.source) for part in exercise.parts] == [
        ("Circle", "class", "reference/shapes.py"),
        ("area", "function", "reference/maths.py"),
    ]
    assert exercise.limits == Limits(quick_seconds=30, memory_bytes=2 * 2**30)
    assert exercise.graded_tier == "cpu"
    assert exercise.part("area").hints == ("pi", "pi r squared")
    assert exercise.hidden == CheckCount(2, 3.5)
    assert exercise.hidden_checks == tmp_path / "solutions" / "shapes" / "checks" / "hidden"


def test_public_declaration_is_the_same_exercise_without_its_secrets(tmp_path):
    """What students load equals the staff's record, but has no sources, hidden checks or mistakes."""
    calibration = {"thresholds": {"accuracy": 0.61, "decision": {"runs": 3}}, "seeds": [1]}
    course = write_course(tmp_path)
    (tmp_path / "solutions" / "shapes" / "calibration.json").write_text(json.dumps(calibration))
    staff = course.exercise("shapes")
    build(course)
    (tmp_path / "solutions").rename(tmp_path / "elsewhere")
    public = course.exercise("shapes")
    assert not public.staff
    for field in ("id", "title", "summary", "graded_tier", "preload", "data", "limits", "hidden"):
        assert getattr(public, field) == getattr(staff, field), field
    assert public.thresholds == staff.thresholds == calibration["thresholds"]
    assert [(p.name, p.kind, p.hints) for p in public.parts] == [
        (p.name, p.kind, p.hints) for p in staff.parts
    ]
    assert {part.source for part in public.parts} == {""}
    assert (public.hidden_checks, public.mistakes_file, public.variants_folder) == (None, None, None)
    assert load_mistakes(public) == ()
    assert load_variants(public) == ()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('title = "Draw shapes"', "", r"exercise\.toml: 'title' is missing, expected a non-empty string"),
        ('id = "shapes"', 'id = "forms"', r"'id' is \"forms\", expected the folder's name 'shapes'"),
        ('["pi", "pi r squared"]', '["pi"]', r"number 2: 'hints' is \[\"pi\"\], expected at least 2 strings"),
        (
            'preload = ["math"]',
            'preload = "math"',
            r"'preload' is \"math\", expected a list of non-empty strings",
        ),
        (
            'preload = ["math"]',
            'graded_tier = "tpu"',
            r"'graded_tier' is \"tpu\", expected one of quick, cpu, gpu",
        ),
        ("memory_gb = 2", "memory_gb = -1", r"\[limits\]: 'memory_gb' is -1, expected a number above 0"),
        ("memory_gb = 2", "memory_gb = true", r"'memory_gb' is true, expected a number above 0"),
        ("memory_gb = 2", "memroy_gb = 2", r"unknown key 'memroy_gb'; did you mean 'memory_gb'\?"),
        ("reference/maths.py", "reference/absent.py", r"source 'reference/absent\.py' not found"),
        ("reference/maths.py", "../outside.py", r"source '\.\./outside\.py' not found; expected a file of"),
        (
            'name = "area"',
            'name = "volume"',
            r"part 'volume': .*maths\.py has no top-level function or class",
        ),
        ('name = "SCALE"', 'name = "Circle"', r"'Circle' is declared twice"),
        ('name = "SCALE"', 'name = "a b"', r"'name' is \"a b\", expected the name of a top-level definition"),
        ('id = "shapes"', "id = ", r"exercise\.toml is not valid TOML: .*line 1"),
    ],
)
def test_wrong_declaration_is_one_sentence(tmp_path, old, new, sentence):
    """A wrong exercise.toml is told by file, key, value and expectation."""
    assert old in DECLARATION
    (tmp_path / "outside.py").write_text(MATHS)
    with pytest.raises(CourseError, match=sentence) as error:
        load(tmp_path / "course", exercise=DECLARATION.replace(old, new))
    assert "\n" not in str(error.value)


def test_check_points_must_be_countable_without_running(tmp_path):
    """A hidden check whose points are computed cannot be announced to students, so it is refused."""
    with pytest.raises(CourseError, match=r"more_checks\.py:1: write the points of a check as a number"):
        load(tmp_path, more_checks="@check(points=TWO)\ndef f(): ...\n")


def test_unknown_part_names_the_known_ones(tmp_path):
    """Asking for a part the exercise does not have lists those it has."""
    with pytest.raises(CourseError, match="no part 'Square'; its parts are Circle, area"):
        load(tmp_path).part("Square")


def test_mistakes_change_the_answer_and_nothing_else(tmp_path):
    """A mistake by edits and one by replacement both give a full submission wrong in its part only."""
    exercise = load(tmp_path)
    answer = assemble(exercise).answer
    right = run(answer)
    edited, replaced = load_mistakes(exercise)
    assert run(edited.source(answer))["area"](3) == pytest.approx(right["area"](3) / 3)
    assert run(replaced.source(answer))["area"](3) == pytest.approx(2 * 3.14159265)
    assert (edited.near_miss, replaced.near_miss) == (False, True)
    assert edited.source(answer).replace("squared = radius\n", "squared = radius**2\n") == answer


@pytest.mark.parametrize(("old", "times"), [("radius", 3), ("diameter", 0)])
def test_edit_must_match_once(tmp_path, old, times):
    """An edit whose old text is absent or ambiguous is refused, so that a reworded reference is noticed."""
    exercise = load(tmp_path, mistakes=MISTAKES.replace('"radius**2"', f'"{old}"'))
    with pytest.raises(CourseError, match=rf"'{old}' occurs {times} times in part 'area', expected once"):
        load_mistakes(exercise)[0].source(assemble(exercise).answer.replace("of a circle", "of a radius"))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('part = "area"', 'part = "Square"', "'part' is \"Square\", expected one of Circle, area"),
        ('"no-square"', '"constant"', "mistake 'constant' is declared twice"),
        ("edits = ", "near_miss = ", "'near_miss' is .*, expected true or false"),
        ('edits = [["radius**2", "radius"]]', "", "mistake 'no-square' needs either 'edits' or 'code'"),
        ('[["radius**2", "radius"]]', '[["radius**2"]]', r"expected a list of \[old text, new text\]"),
        ("def area(radius", "def volume(radius", "mistake 'constant' has a 'code' that does not define area"),
    ],
)
def test_wrong_mistake_is_one_sentence(tmp_path, old, new, sentence):
    """A wrong mistakes.toml is told by file, key, value and expectation."""
    assert old in MISTAKES
    with pytest.raises(CourseError, match=sentence):
        load_mistakes(load(tmp_path, mistakes=MISTAKES.replace(old, new, 1)))


def test_mistake_that_is_no_python_is_refused(tmp_path):
    """An edit that breaks the syntax is the author's error, not a mistake a student could make."""
    exercise = load(tmp_path, mistakes=MISTAKES.replace('"radius"]]', '"radius ("]]'))
    with pytest.raises(CourseError, match="mistake 'no-square' gives no valid Python: line "):
        load_mistakes(exercise)[0].source(assemble(exercise).answer)


def test_variant_replaces_and_brings_its_own(tmp_path):
    """A variant's helper, imports and future import come along, and what it does not redefine stays."""
    exercise = load(tmp_path)
    (variant,) = load_variants(exercise)
    assert (variant.name, variant.unusual) == (
        "one_expression",
        "Written as one expression, with a helper of its own.",
    )
    source = variant.source(assemble(exercise).answer)
    namespace = run(source)
    assert namespace["area"](3) == pytest.approx(2 * 9 * 3.14159265)
    assert namespace["square"](3) == 9
    assert namespace["Circle"](3).area == namespace["area"](3)
    assert source.count("def area(radius") == 1


def test_variant_must_say_what_is_unusual(tmp_path):
    """A variant without a module docstring is refused."""
    exercise = load(tmp_path, one_expression=VARIANT.partition("\n\n")[2])
    with pytest.raises(CourseError, match="no module docstring; say in one what is unusual"):
        load_variants(exercise)
