"""Assemble an exercise's full answer and its stub from the course's reference code."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlgrade.declaration import source_file
from dlgrade.errors import CourseError
from dlgrade.exercise import Exercise, Given, Part
from dlgrade.stub import cut, without_marks
from dlgrade.units import (
    Import,
    SourceFile,
    Unit,
    import_lines,
    in_definition_order,
    join_units,
    names_at_definition,
    split,
)


@dataclass(frozen=True)
class Assembly:
    """Everything an exercise is generated from: imports, then `units` in the order they stand in.

    `parts` are the units a student writes, by name. `support` are names that only the answer uses; all
    other units are given.
    """

    exercise: Exercise
    future: tuple[str, ...]
    imports: tuple[Import, ...]
    units: tuple[Unit, ...]
    parts: dict[str, Unit]
    support: frozenset[str]

    @property
    def released(self) -> tuple[Unit, ...]:
        """The units that students get, whole or as a stub."""
        return tuple(unit for unit in self.units if not self.support.intersection(unit.names))

    @property
    def import_lines(self) -> str:
        return import_lines(self.future, self.imports)

    @property
    def answer(self) -> str:
        """The full answer as one module."""
        docstring = f"{self.exercise.title}: the full answer. Generated: edit the files it is cut from."
        return self._module(docstring, self.units, self.answer_of)

    @property
    def stub(self) -> str:
        """What a student fills in, as one module."""
        task = (
            f"{self.exercise.summary}\n\nReplace each `raise NotImplementedError` with your code; lines"
            " marked `# given` can stay. `dlgrade check` says how far you are."
        )
        wrapped = "\n\n".join(textwrap.fill(paragraph, 100) for paragraph in task.split("\n\n"))
        return self._module(f"{self.exercise.title}.\n\n{wrapped}\n", self.released, self.stub_of)

    def answer_of(self, unit: Unit) -> str:
        return without_marks(unit.code)

    def stub_of(self, unit: Unit) -> str:
        return cut(unit.code) if unit in self.parts.values() else self.answer_of(unit)

    def _module(self, docstring: str, units: Sequence[Unit], code_of: Callable[[Unit], str]) -> str:
        quoted = docstring.replace("\\", "\\\\").replace('"""', "'''")
        body = join_units(units, map(code_of, units))
        imports = self.import_lines
        # The formatter wants two blank lines in front of a definition, one in front of anything else.
        apart = "\n\n\n" if units[0].is_definition else "\n\n"
        return f'"""{quoted}"""' + (f"\n\n{imports}" if imports else "") + f"{apart}{body}\n"


def assemble(exercise: Exercise) -> Assembly:
    """Cut the exercise's definitions out of their files, put them in order and collect what they import.

    Raises:
        CourseError: a definition is not in its file, or uses a name that is no builtin, no import and not
            declared, or students get it without something it needs.
    """
    sources = _Sources(exercise)
    units: list[Unit] = []
    for name in sources.declared:
        unit = sources.unit(name)
        if unit not in units:
            units.append(unit)
    units.sort(key=lambda unit: unit.is_definition)  # constants first, where a reader looks for them
    imports = [found for name in sources.declared for found in sources.imports_for(name)]
    _refuse_clashes(exercise, imports)
    future = {feature for file in sources.files.values() for feature in file.future}
    ordered = in_definition_order(units, annotations="annotations" not in future)
    parts = {part.name: sources.unit(part.name) for part in exercise.parts}
    support = frozenset(item.name for item in exercise.support)
    assembly = Assembly(exercise, tuple(sorted(future)), tuple(imports), tuple(ordered), parts, support)
    _refuse_holes(assembly)
    return assembly


class _Sources:
    """The files that an exercise's definitions are cut from; `declared` says which name comes from which."""

    def __init__(self, exercise: Exercise) -> None:
        self.exercise = exercise
        wanted: list[Given | Part] = [*exercise.given, *exercise.support, *exercise.parts]
        self.declared = {
            item.name: source_file(exercise.root, exercise.folder, item.source) for item in wanted
        }
        self.files = {path: self._read(path) for path in dict.fromkeys(self.declared.values())}

    def unit(self, name: str) -> Unit:
        path = self.declared[name]
        unit = self.files[path].unit(name)
        if unit is None:
            raise CourseError(
                f"{self._declaration}: {self._shown(path)} does not define '{name}' at top level"
            )
        return unit

    def imports_for(self, name: str) -> list[Import]:
        """Imports that the definition of `name` needs, those of the course's own modules left out."""
        path = self.declared[name]
        needed = []
        for free, line in self.unit(name).free.items():
            at = f"'{name}' uses '{free}' ({self._shown(path)}:{line})"
            imports = self.files[path].imports_of(free)
            if not imports:
                self._must_be_declared(free, path, at)
            for found in imports:
                own = self._own_module(found, path)
                if own is not None:
                    self._must_match(found, own, at)
                elif free in self.declared:
                    raise CourseError(
                        f"{at}, imported from {found.module}, but it is also defined here; rename one"
                    )
                else:
                    needed.append(found)
        return needed

    def _must_be_declared(self, free: str, path: Path, at: str) -> None:
        if self.declared.get(free) == path:
            return
        if self.files[path].unit(free) is None:
            raise CourseError(f"{at}, which that file neither defines nor imports; import it there")
        raise CourseError(
            f"{at}, which is neither a part nor given; add it to {self._declaration} as [[given]], or as"
            " [[support]] if students shall not have it, or move it into the definition"
        )

    def _must_match(self, found: Import, module: Path, at: str) -> None:
        if found.member is None or found.name != found.member:
            raise CourseError(
                f"{at}, a module of the course or another name for its content; import the name itself"
            )
        if self.declared.get(found.name) is None:
            raise CourseError(
                f"{at}, imported from {self._shown(module)}, which is neither a part nor given;"
                f" add it to {self._declaration} as [[given]]"
            )
        if self.declared[found.name] != module:
            raise CourseError(
                f"{at}, imported from {self._shown(module)}, but {self._declaration} takes it from"
                f" {self._shown(self.declared[found.name])}; make both the same"
            )

    def _own_module(self, found: Import, path: Path) -> Path | None:
        """The course's file that an import names, or None for a library."""
        dots = len(found.module) - len(found.module.lstrip("."))
        steps = [step for step in found.module[dots:].split(".") if step]
        bases = [path.parents[dots - 1]] if dots else [path.parent, self.exercise.root]
        for base in bases:
            if dots or (base / f"{steps[0]}.py").is_file() or (base / steps[0]).is_dir():
                target = base.joinpath(*steps)
                return target / "__init__.py" if target.is_dir() else target.with_suffix(".py")
        return None

    def _read(self, path: Path) -> SourceFile:
        return split(path.read_text(encoding="utf-8"), self._shown(path))

    @property
    def _declaration(self) -> str:
        return self._shown(self.exercise.folder / "exercise.toml")

    def _shown(self, path: Path) -> str:
        root = self.exercise.root
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _refuse_clashes(exercise: Exercise, imports: list[Import]) -> None:
    origins: dict[str, Import] = {}
    for found in imports:
        first = origins.setdefault(found.name, found)
        if first.origin != found.origin:
            raise CourseError(
                f"exercise '{exercise.id}': the name '{found.name}' is imported from {first.module} for one"
                f" part and from {found.module} for another; use one import in both files"
            )


def _refuse_holes(assembly: Assembly) -> None:
    """What students get whole may not use support; of a part, that holds for what stays in the stub."""
    for unit in assembly.released:
        stub = unit in assembly.parts.values()
        used = names_at_definition(unit.node) if stub else set(unit.free)
        if hole := sorted(used & assembly.support):
            raise CourseError(
                f"exercise '{assembly.exercise.id}': students get '{unit.names[0]}', which needs '{hole[0]}';"
                f" declare '{hole[0]}' as [[given]] instead of [[support]]"
            )
