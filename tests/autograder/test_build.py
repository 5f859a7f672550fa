"""Stub and answer from one source: cutting, assembling, generating."""

import ast
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgrade.assembly import assemble
from dlgrade.build import build, drift, generate
from dlgrade.course import Course
from dlgrade.errors import CourseError, UsageError
from dlgrade.fingerprints import agree
from dlgrade.notebook_source import notebook_text
from dlgrade.source import missing_parts, outline
from dlgrade.stub import cut
from dlgrade.tomlfile import toml_text
from dlgrade.units import Import, free_names, import_lines, overlay
from tests.autograder.small_course import DECLARATION, MATHS, SHAPES, load, write_course

# Cutting


@pytest.mark.parametrize(
    ("code", "stub"),
    [
        ("def f(x): return x  # why", 'def f(x):\n    raise NotImplementedError("f")'),
        ("def f(π='é'): return π", "def f(π='é'):\n    raise NotImplementedError(\"f\")"),
        (
            "def f(x):\n    # secret\n    return x\n    # secret",
            'def f(x):\n    raise NotImplementedError("f")',
        ),
        (
            'def f(\n    x,  # (N,)\n) -> int:  # (K,)\n    """Doc."""\n    # secret\n\n    return x',
            'def f(\n    x,  # (N,)\n) -> int:  # (K,)\n    """Doc."""\n    raise NotImplementedError("f")',
        ),
        (
            "def f(x):\n    for y in x:  # given\n        go(y)\n    a = 1\n    b = 2\n    return a  # given",
            'def f(x):\n    for y in x:  # given\n        go(y)\n    raise NotImplementedError("f")\n'
            "    return a  # given",
        ),
        (
            "def f(x):\n    a = 1\n    b = 2  # given",
            'def f(x):\n    raise NotImplementedError("f")\n    b = 2  # given',
        ),
        ('def f():\n    """Only a docstring."""', 'def f():\n    """Only a docstring."""'),
        ("def f():\n    ...", "def f():\n    ..."),
        ("def f():  # given\n    return 1", "def f():  # given\n    return 1"),
        (
            "async def f():\n    @deco\n    def g(): pass\n    return g",
            'async def f():\n    raise NotImplementedError("f")',
        ),
        (
            "class A(B):\n    x = 1  # stays\n\n"
            "    @property\n    def y(self):\n        return 1\n        # secret\n\n"
            "    # About z.\n    def z(self):\n        return '''\n# given\n'''",
            "class A(B):\n    x = 1  # stays\n\n"
            '    @property\n    def y(self):\n        raise NotImplementedError("A.y")\n\n'
            '    # About z.\n    def z(self):\n        raise NotImplementedError("A.z")',
        ),
    ],
)
def test_cut_keeps_what_is_given_and_nothing_else(code, stub):
    """Signatures, docstrings, attributes and given lines stay; bodies and the comments in them go."""
    assert cut(code) == stub
    ast.parse(stub)


# Free names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def f(x, y=D, *, z: A = 1) -> R:\n    return x + G + len(y)", {"D", "A", "R", "G"}),
        ("def f(xs):\n    return [x * K for x in xs if (y := x)] + [y]", {"K"}),
        ("def f():\n    a = 1\n    def g():\n        nonlocal a\n        a = b\n    return g", {"b"}),
        (
            "class C(Base, metaclass=M):\n    a = 1\n    b = a\n    def m(self):\n        return a",
            {"Base", "M", "a"},
        ),
        ("@deco(x)\ndef f(): return f", {"deco", "x"}),
        ("def f():\n    global counter\n    counter += 1", {"counter"}),
        ("def f():\n    import os\n    return lambda q: os.getcwd() + q + r", {"r"}),
        ("def f():\n    try:\n        pass\n    except E as e:\n        return e", {"E"}),
        ("class C:\n    def m(self):\n        return super().m(), __class__", set()),
        ("X = {k: v for k, v in T}", {"T"}),
        ("def f(x):\n    match x:\n        case P(a=q):\n            return q", {"P"}),
    ],
)
def test_free_names_are_what_python_would_look_up_outside(code, names):
    """Scopes of comprehensions, closures, classes, decorators and annotations come out as Python has them."""
    assert set(free_names(code)) == names


def test_free_names_know_their_line():
    """The line is that of the first use."""
    assert free_names("def f():\n    x = 1\n    return x + Y\n    Y") == {"Y": 3}


def test_imports_are_ordered_as_the_linter_wants_them():
    """Future, standard library, others; import before from; constants, classes, functions."""
    imports = [
        Import("nn", "torch", "nn"),
        Import("Tensor", "torch", "Tensor"),
        Import("F", "torch.nn.functional", None),
        Import("torch", "torch", None),
        Import("np", "numpy", None),
        Import("math", "math", None),
        Import("p", "pathlib", "Path"),
        Import("math", "math", None, line=7),
    ]
    assert import_lines(["annotations"], imports) == (
        "from __future__ import annotations\n\nimport math\nfrom pathlib import Path as p\n\n"
        "import numpy as np\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn"
    )


# Assembling


def test_answer_is_whole_and_stub_has_no_body(tmp_path):
    """The answer runs; the stub has every signature, docstring and given line, and no line of the answer."""
    assembly = assemble(load(tmp_path))
    namespace = {"__name__": __name__}
    exec(compile(assembly.answer, "answer", "exec"), namespace)
    assert namespace["Circle"](2).area == pytest.approx(8 * 3.14159265)
    assert "# given" not in assembly.answer
    assert "# not 2 pi r" in assembly.answer
    for secret in (
        "squared",
        "2 pi r",
        "answer starts",
        "after it",
        "self.radius",
        "explains",
        "self.x + by",
    ):
        assert secret not in assembly.stub, secret
    for kept in (
        "# Areas are in square metres.\n@functools.cache\ndef area(radius, *, scale=SCALE):\n",
        '        super().__init__()  # given\n        raise NotImplementedError("Circle.__init__")\n',
        "    # About the next method.\n    @property\n",
        "    def __len__(self):  # given\n        return 1\n",
        '            raise NotImplementedError("Circle.Corner.moved")',
        "import math\n",
    ):
        assert kept in assembly.stub, kept


def test_stub_is_missing_and_answer_is_not(tmp_path):
    """What is cut is found missing part by part, and the answer has nothing missing."""
    exercise = load(tmp_path)
    assembly = assemble(exercise)
    assert missing_parts(outline(assembly.stub), exercise) == {
        "Circle": "Circle.__init__ is still the stub",
        "area": "area is still the stub",
    }
    assert missing_parts(outline(assembly.answer), exercise) == {}


def test_order_is_the_declared_one_but_for_what_definitions_need(tmp_path):
    """Constants come first and a base class before its subclass; otherwise the declared order holds."""
    names = [unit.names[0] for unit in assemble(load(tmp_path)).units]
    assert names == ["SCALE", "Shape", "Circle", "area"]
    as_parts = DECLARATION.replace(
        '[[given]]\nname = "Shape"\n', '[[parts]]\nname = "Shape"\nhints = ["a", "b"]\n'
    )
    names = [unit.names[0] for unit in assemble(load(tmp_path, exercise=as_parts)).units]
    assert names == ["SCALE", "Shape", "Circle", "area"]


def test_support_is_in_the_answer_alone(tmp_path):
    """What the reference needs but would give the answer away is in nothing that students get."""
    declaration = DECLARATION + '\n[[support]]\nname = "_unused"\nsource = "reference/maths.py"\n'
    changed = {"exercise": declaration, "maths": MATHS.replace("scale * math", "_unused() or math")}
    course = write_course(tmp_path, **changed)
    exercise = course.exercise("shapes")
    assert "def _unused" in assemble(exercise).answer
    public = {path: text for path, text in generate(exercise).items() if path.startswith("assignments/")}
    assert not [path for path, text in public.items() if "_unused" in text]
    assert "_unused" in generate(exercise)["solutions/shapes/shapes.ipynb"]


@pytest.mark.parametrize(
    "maths",
    [MATHS.replace("scale=SCALE", "scale=_unused"), MATHS.replace("SCALE = 2", "SCALE = _unused()")],
    ids=["a stub's signature", "a given constant"],
)
def test_students_cannot_be_left_without_what_they_need(tmp_path, maths):
    """Support that a stub's signature or a given definition uses is refused: the file would not import."""
    declaration = DECLARATION + '\n[[support]]\nname = "_unused"\nsource = "reference/maths.py"\n'
    with pytest.raises(CourseError, match=r"needs '_unused'; declare '_unused' as \[\[given\]\] instead"):
        assemble(load(tmp_path, exercise=declaration, maths=maths))


def test_constant_comes_after_what_it_calls(tmp_path):
    """A given constant computed by a part's function comes after it and after what that function calls."""
    maths = MATHS.replace("scale * math.pi", "_unused() or math.pi") + "\n\nUNIT = area(1)\n"
    given = "".join(
        f'\n[[given]]\nname = "{name}"\nsource = "reference/maths.py"\n' for name in ("UNIT", "_unused")
    )
    assembly = assemble(load(tmp_path, maths=maths, exercise=DECLARATION + given))
    names = [unit.names[0] for unit in assembly.units]
    assert names.index("UNIT") > max(names.index("area"), names.index("_unused"))
    exec(compile(assembly.answer, "answer", "exec"), {"__name__": __name__})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"maths": MATHS.replace("scale * math.pi", "_unused() or math.pi")},
            r"'area' uses '_unused' \(reference/maths\.py:22\), which is neither a part nor given; add it to"
            r" solutions/shapes/exercise\.toml as \[\[given\]\], or as \[\[support\]\]",
        ),
        (
            {"maths": MATHS.replace("math.pi", "maths.pi")},
            r"'area' uses 'maths' \(reference/maths\.py:22\), which that file neither defines nor imports",
        ),
        (
            {
                "shapes": SHAPES.replace("import area", "import area, _unused").replace(
                    "area(self.r", "_unused(self.r"
                )
            },
            r"'Circle' uses '_unused' .*, imported from reference/maths\.py, which is neither a part",
        ),
        (
            {
                "shapes": SHAPES.replace("import area", "import area as a").replace(
                    "return area(", "return a("
                )
            },
            r"another name for its content; import the name itself",
        ),
        (
            {"shapes": SHAPES.replace("from reference.maths import area", "from reference import area")},
            r"imported from reference/__init__\.py, but .* takes it from reference/maths\.py; make both",
        ),
        (
            {
                "shapes": SHAPES.replace(
                    "import dataclass", "import field as dataclass, dataclass as math"
                ).replace("area(self.radius)", "math(area(self.radius))")
            },
            r"the name 'math' is imported from dataclasses for one part and from math for another",
        ),
        (
            {"exercise": DECLARATION.replace('"SCALE"', '"SIZE"')},
            r"exercise\.toml: reference/maths\.py does not define 'SIZE' at top level",
        ),
        ({"shapes": SHAPES.replace("class Shape:", "class Shape(Circle):")}, "Shape, Circle need each other"),
        ({"maths": MATHS + "\n)"}, r"maths\.py: line 25: unmatched '\)'"),
    ],
)
def test_source_that_cannot_be_cut_is_refused(tmp_path, changed, sentence):
    """Whatever a part needs and students would not get is refused, with file, line and the next step."""
    with pytest.raises(CourseError, match=sentence):
        assemble(load(tmp_path, **changed))


def test_relative_imports_are_the_courses_own(tmp_path):
    """`from .maths import area` is recognised as a part, as the absolute import is."""
    shapes = SHAPES.replace("from reference.maths", "from .maths")
    assert assemble(load(tmp_path / "a", shapes=shapes)).answer == assemble(load(tmp_path / "b")).answer


def test_part_from_the_exercises_own_folder(tmp_path):
    """A part may be cut from a file beside exercise.toml, which files of reference/ cannot import."""
    course = write_course(tmp_path, exercise=DECLARATION.replace("reference/maths.py", "own.py"))
    (tmp_path / "solutions" / "shapes" / "own.py").write_text(MATHS)
    shapes = tmp_path / "reference" / "shapes.py"
    shapes.write_text(SHAPES.replace("from reference.maths", "from own"))
    with pytest.raises(CourseError, match=r"'area' .*, imported from own, but it is also defined here"):
        assemble(course.exercise("shapes"))
    shapes.write_text(
        SHAPES.replace("area(self.radius)", "self.radius").replace("from reference.maths import area", "")
    )
    assert "def area" in assemble(course.exercise("shapes")).answer


def test_overlay_keeps_order_for_definitions():
    """A redefined base class still comes before the subclass that the answer keeps."""
    answer = '"""Doc."""\n\nimport math\n\n\nclass A:\n    pass\n\n\nclass B(A):\n    pass\n'
    variant = "class Mixin:\n    x = math.pi\n\n\nclass A(Mixin):\n    pass\n"
    namespace = {}
    exec(overlay(answer, variant), namespace)
    assert namespace["B"].x > 3


def test_overlay_keeps_repeated_bindings_together():
    """A definition that the variant binds twice, as a hand-applied decorator does, keeps both in order."""
    namespace = {}
    exec(
        overlay(
            "def f(x):\n    return x\n",
            "def f(x):\n    return x + 1\n\n\nf = (lambda g: lambda x: g(g(x)))(f)\n",
        ),
        namespace,
    )
    assert namespace["f"](0) == 2


# Generating


def test_generated_files_are_all_there(tmp_path):
    """Students get statement, stub, notebook, visible checks and public declaration; staff the answers."""
    assert list(generate(load(tmp_path))) == [
        "assignments/shapes/README.md",
        "assignments/shapes/checks/area_checks.py",
        "assignments/shapes/exercise.toml",
        "assignments/shapes/shapes.ipynb",
        "assignments/shapes/shapes.py",
        "solutions/shapes/shapes.ipynb",
        "solutions/shapes/shapes.py",
    ]


def test_students_learn_only_the_number_of_hidden_checks(tmp_path):
    """Of hidden checks and sources, nothing but count and points is in assignments/."""
    files = generate(load(tmp_path))
    public = "".join(text for path, text in files.items() if path.startswith("assignments/"))
    assert "count = 2\npoints = 3.5\n" in files["assignments/shapes/exercise.toml"]
    assert "reference/" not in public
    assert "radius**2" not in public


def test_build_is_repeatable_and_drift_names_each_file(tmp_path):
    """A second build writes nothing; a changed, a removed and a stale file are each reported and repaired."""
    course = write_course(tmp_path)
    assert build(course) == sorted(generate(course.exercise("shapes")))
    before = {path: (tmp_path / path).stat().st_mtime_ns for path in generate(course.exercise("shapes"))}
    assert build(course) == []
    assert drift(course) == []
    assert before == {path: (tmp_path / path).stat().st_mtime_ns for path in before}
    public = tmp_path / "assignments" / "shapes"
    (public / "shapes.py").write_bytes((public / "shapes.py").read_bytes().replace(b"\n", b"\r\n"))
    (public / "README.md").unlink()
    (public / "checks" / "old_checks.py").write_text("gone from solutions/\n")
    names = ["README.md", "checks/old_checks.py", "shapes.py"]
    assert drift(course) == [f"assignments/shapes/{name}" for name in names]
    assert build(course, ["shapes"]) == [f"assignments/shapes/{name}" for name in names]
    assert drift(course) == []
    assert not (public / "checks" / "old_checks.py").exists()


def test_callers_files_are_built_along(tmp_path):
    """Recorded fingerprints come from outside, are drift-tested like the rest, and are never stale."""
    course = write_course(tmp_path)
    extra = {"assignments/shapes/fingerprints.json": '{"seed": 0}\n'}
    assert "assignments/shapes/fingerprints.json" in build(course, extra=extra)
    assert drift(course) == []
    assert drift(course, extra={"assignments/shapes/fingerprints.json": "{}\n"}) == list(extra)
    assert course.exercise("shapes").fingerprints == tmp_path / "assignments" / "shapes" / "fingerprints.json"


def test_caches_are_not_drift(tmp_path):
    """What Python and Jupyter leave behind is neither reported nor removed."""
    course = write_course(tmp_path)
    build(course)
    cache = tmp_path / "assignments" / "shapes" / "checks" / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_bytes(b"\0")
    assert drift(course) == []


def test_build_needs_the_staffs_course(tmp_path):
    """Students' courses have nothing to build from."""
    course = write_course(tmp_path)
    build(course)
    (tmp_path / "solutions").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"has no solutions/ to build from"):
        build(Course(tmp_path))


def test_statement_is_mandatory(tmp_path):
    """An exercise without README.md is refused."""
    course = write_course(tmp_path)
    (tmp_path / "solutions" / "shapes" / "README.md").unlink()
    with pytest.raises(CourseError, match=r"README\.md not found; expected the statement that students read"):
        build(course)


def test_notebook_is_valid_and_equals_the_module(tmp_path):
    """The notebook is valid format 4.5 with ids from part names, and holds what the .py files do."""
    nbformat = pytest.importorskip("nbformat")
    exercise = load(tmp_path)
    files = generate(exercise)
    for folder, expected in (("assignments", {"Circle", "area"}), ("solutions", set())):
        text = files[f"{folder}/shapes/shapes.ipynb"]
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        assert [cell["id"] for cell in json.loads(text)["cells"]] == [
            *("intro", "imports", "given-SCALE"),
            *("Circle-text", "Circle", "Circle-check", "area-text", "area", "area-check"),
        ]
        found = notebook_text(text.encode(), "shapes.ipynb", ["Circle", "area"])
        assert found.notes == ()
        assert set(missing_parts(outline(found.text), exercise)) == expected
    namespace = {"__name__": __name__}
    exec(found.text, namespace)
    assert namespace["Circle"](1).area == pytest.approx(2 * 3.14159265)


_scalars = (
    st.text(max_size=20)
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_names = st.text(min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        _names,
        _scalars
        | st.lists(_scalars, min_size=1, max_size=3)
        | st.dictionaries(_names, _scalars, min_size=1, max_size=3)
        | st.lists(st.dictionaries(_names, _scalars, min_size=1, max_size=3), min_size=1, max_size=2),
        max_size=5,
    )
)
def test_written_toml_reads_back(values):
    """Every value written to TOML is the value read from it."""
    import tomllib

    assert tomllib.loads(toml_text(values)) == values


def test_recordings_agree_but_for_float_error():
    """Another machine's last bits are no drift, in numbers and in the spelling of floats that cross."""
    recorded = {"reply": {"ok": {"f": "0x1.57dc5d571d54bp+0"}}, "values": [0.5]}
    assert agree(recorded, {"reply": {"ok": {"f": "0x1.57dc5d571d54dp+0"}}, "values": [0.5000001]})
    assert not agree(recorded, {"reply": {"ok": {"f": "0x1.60dc5d571d54dp+0"}}, "values": [0.5]})
    assert not agree(recorded, {"reply": {"ok": "0x1.57dc5d571d54bp+0"}, "values": [0.5]})
