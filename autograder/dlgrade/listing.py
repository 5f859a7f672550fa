"""`dlgrade list`: the exercises of a course, for a terminal."""

from __future__ import annotations

from dlgrade.course import Course


def listing(course: Course) -> str:
    """A line for each exercise with its name and title, and one with its summary and parts."""
    exercises = [course.exercise(name) for name in course.exercises()]
    width = max((len(exercise.id) for exercise in exercises), default=0)
    lines = []
    for exercise in exercises:
        lines.append(f"{exercise.id:<{width}}  {exercise.title}")
        lines.append(f"{'':<{width}}  {exercise.summary}")
        lines.append(f"{'':<{width}}  parts: {', '.join(part.name for part in exercise.parts)}")
    lines += ["", "dlgrade start EXERCISE copies one into a folder of its name."]
    return "\n".join(lines)
