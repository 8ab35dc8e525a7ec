"""The blocks of Python in the guide and in the README run, and the examples do."""
import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys

import pytest
from conftest import ROOT

torch = pytest.importorskip("torch")

# The programs use this package and one thread.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def has_jax():
    return importlib.util.find_spec("jax") is not None and importlib.util.find_spec("jax.ffi") is not None


def blocks(path):
    return re.findall(r"^```python\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", ["examples/guide/python.md", "README.md"])
def test_blocks(page):
    codes = blocks(ROOT / page)
    assert codes
    if not has_jax():
        codes = [code for code in codes if "jax" not in code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # In a process of its own, since JAX starts threads and other tests fork.
    subprocess.run([sys.executable, "-c", "\n".join(codes)], env=environment, timeout=300, check=True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("first_network.py 30", "without plasticity it stays near 1"),
        ("cue_reward.py --episodes 50 --batch 4 --hidden 8", "episode 50: reward"),
        ("acting.py --steps 50", "agree to the last bit"),
        ("one_shot.py --episodes 50 --batch 2", "episode 50"),
        ("omniglot.py --images 256 --reports 1 --validation 2 --episodes 3", "nearest picture"),
        ("plot_traces.py traces.png", "wrote traces.png"),
    ],
    ids=lambda value: value.split(".")[0] if value.endswith(("png", "0", "2", "3", "8")) else "",
)
def test_examples(words, text, tmp_path):
    if "plot" in words:
        pytest.importorskip("matplotlib")
    name, *arguments = words.split()
    done = subprocess.run([sys.executable, ROOT / "examples" / "python" / name, *arguments], cwd=tmp_path, env=ENVIRONMENT,
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert text in done.stdout


@pytest.fixture
def run_example(tmp_path, monkeypatch, capsys):
    """Runs an example in this process, in a new folder, and returns its exit code, stdout and stderr."""
    def run(name, *arguments):
        path = ROOT / "examples" / "python" / name
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(path.parent))
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
        return (end.value.code, *capsys.readouterr())
    return run


@pytest.mark.parametrize("name", ["first_network", "acting", "plot_traces", "cue_reward", "one_shot", "omniglot", "words"])
def test_help_of_examples(name, run_example, tmp_path):
    if name == "plot_traces":
        pytest.importorskip("matplotlib")
    code, out, _ = run_example(f"{name}.py", "--help")
    assert code == 0 and f"python {name}.py" in " ".join(out.split()) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["first_network.py 0", "first_network.py many", "acting.py --steps 0", "cue_reward.py --batch 0",
                                   "one_shot.py --episodes -1", "omniglot.py --reports 0", "words.py --data . --epochs 1.5"])
def test_wrong_numbers_of_examples(words, run_example):
    name, *arguments = words.split()
    code, _, error = run_example(name, *arguments)
    assert code == 2 and error.endswith(f"expected an integer, at least 1, got '{arguments[-1]}'\n")


def test_language_model_of_words(tmp_path):
    text = "one two three four five\n" * 700
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text(text)
    words = ["--data", ".", "--epochs", "6", "--hidden", "16", "--out", "out"]
    subprocess.run([sys.executable, ROOT / "examples" / "python" / "words.py", *words], cwd=tmp_path, env=ENVIRONMENT,
                   timeout=300, check=True)
    outcome = json.loads((tmp_path / "out" / "words.json").read_text())
    assert [learner["name"] for learner in outcome["learners"]] == ["LSTM", "plastic", "modulated", "retroactive"]
    for learner in outcome["learners"]:
        assert learner["values"][0] < outcome["chance"]


def test_omniglot_continues_after_a_kill(tmp_path):
    command = [sys.executable, ROOT / "examples" / "python" / "omniglot.py", "--images", "2560", "--reports", "20",
               "--validation", "2", "--episodes", "5", "--out"]

    def outcome(folder):
        subprocess.run([*command, folder], cwd=tmp_path, env=ENVIRONMENT, timeout=300, check=True, capture_output=True)
        found = json.loads((tmp_path / folder / "omniglot.json").read_text())
        return [(learner["values"], learner["curve"]) for learner in found["learners"]]

    with subprocess.Popen([*command, "killed"], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert "128 images" in process.stdout.readline()
        process.kill()
    assert not (tmp_path / "killed" / "omniglot.json").exists()
    saved = torch.load(tmp_path / "killed" / "omniglot.checkpoint.pt")
    assert 1 <= saved["step"] < 20
    assert outcome("killed") == outcome("whole")
    assert not (tmp_path / "killed" / "omniglot.checkpoint.pt").exists()
