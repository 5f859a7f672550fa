"""The built wheel and sdist: they hold what a student may see, and are all that a student needs."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECRET = [
    *ROOT.glob("solutions/**/*.py"),
    *ROOT.glob("solutions/**/*.ipynb"),
    *ROOT.glob("solutions/*/mistakes.toml"),
    *ROOT.glob("solutions/*/calibration.json"),
    *ROOT.glob("reference/*.py"),
]
VISIBLE = {file.read_bytes() for file in ROOT.glob("solutions/*/checks/visible/**/*.py")}
EXERCISES = sorted(folder.name for folder in (ROOT / "assignments").iterdir() if folder.is_dir())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the sdist, built from the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder


def contents(built: Path) -> dict[str, dict[str, bytes]]:
    """Bytes of every file of both archives, by name."""
    [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(sdist) as tar:
        in_sdist = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}
    return {"wheel": in_wheel, "sdist": in_sdist}


def test_nothing_secret_is_in_the_archives(built):
    """No file of solutions/ or reference/, under whatever name, and no hidden check's name in any text."""
    secret = {file.read_bytes(): file for file in SECRET if file.stat().st_size}
    hidden = {
        name
        for file in ROOT.glob("solutions/*/checks/hidden/**/*.py")
        for name in re.findall(r"^@check\(.*?^def (\w+)", file.read_text(), re.MULTILINE | re.DOTALL)
    }
    assert hidden
    for kind, files in contents(built).items():
        for name, data in files.items():
            assert not re.search(r"(^|/)(solutions|reference|hidden)/", name), (kind, name)
            assert data in VISIBLE or data not in secret, (kind, name, secret.get(data))
            told = [check for check in hidden if check.encode() in data]
            assert not told, (kind, name, told)


def test_the_archives_hold_the_public_assignments(built):
    """Statement, stub, notebook, visible checks and fingerprints of every exercise, as committed."""
    wheel = contents(built)["wheel"]
    for exercise in EXERCISES:
        for file in (ROOT / "assignments" / exercise).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                inside = f"dlgrade/assignments/{file.relative_to(ROOT / 'assignments').as_posix()}"
                assert wheel[inside] == file.read_bytes()
        assert f"dlgrade/assignments/{exercise}/fingerprints.json" in wheel


@pytest.fixture(scope="module")
def student(built, tmp_path_factory):
    """Runs `dlgrade` from an environment that holds the wheel and its dependencies, in an empty folder."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on the path, and makes the student's environment in seconds")
    folder = tmp_path_factory.mktemp("student")
    environment, home = folder / "environment", folder / "home"
    home.mkdir()
    [wheel] = built.glob("*.whl")
    python = environment / "bin" / "python"
    constraints = ["--constraints", str(ROOT / "constraints.txt")]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(python), *constraints, str(wheel)], check=True
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(environment / "bin" / "dlgrade"), *arguments],
            cwd=home,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "NO_COLOR": "1", "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=False,
        )

    run.home = home
    return run


def test_a_student_with_the_wheel_alone_can_start_and_check(student):
    """`start` copies an exercise; its stub scores 0 without a traceback, the answer has all points."""
    started = student("start", "cifar10_cnn")
    assert started.returncode == 0, started.stderr
    stub = student("check", "cifar10_cnn")
    assert stub.returncode == 1, stub.stderr
    assert "Traceback" not in stub.stdout + stub.stderr
    assert re.search(r"\b0 / \d+", stub.stdout), stub.stdout
    shutil.copy(ROOT / "solutions/cifar10_cnn/cifar10_cnn.py", student.home / "cifar10_cnn/cifar10_cnn.py")
    full = student("check", "cifar10_cnn")
    assert full.returncode == 0, full.stdout + full.stderr
    points, maximum = re.search(r"([\d.]+) / ([\d.]+)", full.stdout.rsplit("\n", 8)[0] + full.stdout).groups()
    assert points == maximum
    assert "at grading" in full.stdout  # hidden checks are named, so this is no false 100 %
