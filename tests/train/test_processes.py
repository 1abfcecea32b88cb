"""Training that is killed goes on, and training shared among processes is the same training."""

import json
import os
import subprocess
import sys
import time

import pytest
from toy_training import DROPPING, cycles, fit, same, weights

from xgeoml.exceptions import ExecutionError

pytestmark = pytest.mark.slow

COMMON = {"max_epochs": 2, "accumulate": 2}
PROGRAM = """
import sys
from toy_training import DROPPING, cycles, fit

own = fit(cycles(3, 4), DROPPING, logdir=sys.argv[1], {arguments})
# At once, since another process may write as well.
sys.stdout.write(f"{{own.history[-1]['val_loss']}} {{own.path}}\\n")
"""


def environment():
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def alone():
    return fit(cycles(3, 4), DROPPING, **COMMON)


def check_same_training(model, alone):
    for one, other in zip(model.history[1:], alone.history[1:], strict=True):
        assert one["step"] == other["step"]
        for key in ("train_loss", "val_loss"):
            assert one[key] == pytest.approx(other[key], rel=1e-4)


def test_killed_it_ends_the_same(tmp_path):
    folder = tmp_path / "run"
    arguments = "max_epochs=30, patience=30, schedule='plateau'"
    command = [sys.executable, "-c", PROGRAM.format(arguments=arguments), str(folder)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 300
    history = folder / "history.json"
    while process.poll() is None and time.monotonic() < end:
        if history.exists() and len(json.loads(history.read_text())) > 3:
            break
        time.sleep(0.005)
    process.kill()
    printed, _ = process.communicate()
    assert process.returncode == -9
    assert printed == ""
    assert (folder / "last.safetensors").exists()
    common = {"max_epochs": 30, "patience": 30, "schedule": "plateau"}
    rest = fit(cycles(3, 4), DROPPING, resume=folder, **common)
    whole = fit(cycles(3, 4), DROPPING, **common)
    for one, other in zip(rest.history[1:], whole.history[1:], strict=True):
        for key in ("train_loss", "val_loss", "learning_rate"):
            assert one[key] == pytest.approx(other[key], rel=1e-6)
    assert rest.history[-1]["epoch"] == 30


def test_two_devices_are_one(alone, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shared = fit(cycles(3, 4), DROPPING, devices=2, logdir=tmp_path, **COMMON)
    check_same_training(shared, alone)
    assert capfd.readouterr() == ("", "")
    # Alone again it goes on from there: it is at its end.
    again = fit(cycles(3, 4), DROPPING, resume=tmp_path, **COMMON)
    assert same(weights(again.path), weights(shared.path))


def test_a_program_started_by_torchrun(alone, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(arguments="max_epochs=2, accumulate=2"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", str(program), str(tmp_path / "run")]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        loss, path = line.split(" ", 1)
        assert float(loss) == pytest.approx(alone.history[-1]["val_loss"], rel=1e-4)
        assert path == str(tmp_path / "run" / "model.safetensors")
    assert {p.name for p in tmp_path.iterdir()} == {"program.py", "run"}


def test_a_process_that_fails_is_told_of(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("xgeoml.train.loop.sys.executable", "/bin/false")
    with pytest.raises(
        ExecutionError, match=r"on 2 processes failed \(exit 1\), see above; resume="
    ):
        fit(cycles(3, 4), DROPPING, devices=2, logdir=tmp_path)
