"""The commands as a user types them, run in this process to be quick."""

import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import yaml

import cellwright as cw
from cellwright.cli import main
from cellwright.cli.use import json_lines

SMALL = ["--layers", "3", "--epochs", "2"]


@pytest.fixture
def cellwright(capfd, tmp_path, monkeypatch):
    """Run a command in an empty folder; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        capfd.readouterr()
        with mock.patch.object(sys, "argv", ["cellwright", *map(str, words)]):
            try:
                main()
                code = 0
            except SystemExit as end:
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", X=rng.normal(size=(40, 4, 2)), y=["a", "b"] * 20)
    return "data.npz"


@pytest.fixture
def trained(cellwright, data):
    code, _, errors = cellwright("fit", "classify", "--data", data, "--out", "run", *SMALL)
    assert (code, errors) == (0, "")
    return "run"


def test_fit_writes_a_run_folder(cellwright, data, tmp_path):
    code, output, errors = cellwright("fit", "classify", "--data", data, *SMALL)
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0].startswith("classify data: 32 to learn from, 8 to test, 2 features")
    assert lines[1].startswith("epoch   1   train loss ")
    assert lines[-2].startswith("test accuracy ")
    assert lines[-1].startswith("runs/classify-data-001/")
    assert "\x1b" not in output
    folder = tmp_path / "runs/classify-data-001"
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.png",
        "checkpoint.safetensors",
        "config.yaml",
        "confusion_matrix.png",
        "learning_curve.png",
        "metrics.csv",
        "model.cw",
        "result.json",
    ]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["job"], config["data"], config["options"]["layers"]) == (
        "classify",
        str(tmp_path / data),
        [3],
    )
    assert len((folder / "metrics.csv").read_text().splitlines()) == 3
    cellwright("fit", "classify", "--data", data, *SMALL)
    assert (tmp_path / "runs/classify-data-002/model.cw").exists()


def test_runs_that_are_started_together_get_folders_of_their_own(
    cellwright, data, tmp_path, monkeypatch
):
    folders = []

    def run(config, folder, **how):
        folders.append(folder.path.name)
        if len(folders) < 3:
            cellwright("fit", "classify", "--data", data)

    monkeypatch.setattr("cellwright.jobs.run", run)
    cellwright("fit", "classify", "--data", data)
    assert folders == ["classify-data-001", "classify-data-002", "classify-data-003"]
    assert not (tmp_path / "runs").exists(), "nothing was written"


def test_flags_reach_the_model(cellwright, data, tmp_path):
    flags = ["--cell", "projected_lstm", "--sizes", "proj=2", "--layers", "4,3", "--seed", "7"]
    flags += ["--bidirectional", "--zoneout", "0.1", "--pooling", "mean", "--gradient-clip", "none"]
    flags += ["--epochs", "1", "--quiet", "--data", data, "--out", "run"]
    assert cellwright("fit", "classify", *flags) == (0, "", "")
    wanted = {"cell": "projected_lstm", "sizes": {"proj": 2}, "layers": [4, 3], "random_state": 7}
    wanted |= {"bidirectional": True, "zoneout": 0.1, "pooling": "mean", "gradient_clip": None}
    model = cw.load(tmp_path / "run")
    assert {name: getattr(model, name) for name in wanted} == wanted


def test_json_is_one_object_a_line_and_the_last_is_the_result(cellwright, data):
    words = ["fit", "classify", "--data", data, "--out", "run", "--json", *SMALL]
    code, output, errors = cellwright(*words)
    assert (code, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    events = ["started", "epoch", "epoch", "testing", None]
    assert [line.get("event") for line in lines] == events
    result = lines[-1]
    assert result["job"] == "classify"
    assert 0 <= result["test"]["accuracy"] <= 1
    assert result["seconds"] > 0
    assert result["run"] == "run"
    code, again, _ = cellwright("fit", "classify", "--out", "run", "--resume", "--json")
    assert json.loads(again) == result


def test_a_run_is_repeated_from_its_configuration(cellwright, trained, tmp_path):
    code, _, _ = cellwright("fit", "classify", "--config", "run/config.yaml", "--out", "again")
    assert code == 0
    assert (tmp_path / "run/model.cw").read_bytes() == (tmp_path / "again/model.cw").read_bytes()
    cellwright("fit", "classify", "--config", "run/config.yaml", "--seed", "1", "--out", "other")
    assert (tmp_path / "run/model.cw").read_bytes() != (tmp_path / "other/model.cw").read_bytes()
    assert cw.load(tmp_path / "other").layers == [3]


def test_runs_are_protected(cellwright, trained, data):
    words = ["fit", "classify", "--data", data, "--out", "run", *SMALL]
    code, output, errors = cellwright(*words)
    assert (code, output) == (1, "")
    assert errors.startswith("cellwright: run already holds a run")
    assert errors.count("\n") == 1
    code, _, errors = cellwright(*words, "--resume", "--seed", "3")
    assert code == 1
    assert "started with --seed=0, not 3" in errors
    code, _, errors = cellwright(*words, "--resume", "--overwrite")
    assert code == 1
    assert "give one" in errors
    code, output, _ = cellwright(*words, "--resume")
    assert code == 0
    assert "run is finished already" in output
    assert cellwright(*words, "--overwrite", "--seed", "3")[0] == 0


def test_predict_prints_a_table(cellwright, trained, data, tmp_path):
    code, output, errors = cellwright("predict", "run", "--data", data, "--probabilities")
    assert (code, errors) == (0, "")
    assert output.splitlines()[0] == "id,prediction,probability_a,probability_b"
    assert len(output.splitlines()) == 41
    _, lines, _ = cellwright("predict", "run/model.cw", "--data", data, "--json")
    assert json.loads(lines.splitlines()[0])["prediction"] in ("a", "b")
    assert cellwright("predict", "run", "--out", "table.csv") == (0, "", "")
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 9


def test_rows_in_json_are_those_in_csv():
    table = pd.DataFrame(
        {
            "id": np.array(["a", 7], object),
            "ds": pd.to_datetime(["2024-02-29", "2024-03-01"]),
            "yhat": [6.29270370190131e-14, np.nan],
            "step": [0, 1],
        }
    )
    rows = [json.loads(line) for line in json_lines(table).splitlines()]
    assert rows == [
        {"id": "a", "ds": "2024-02-29", "yhat": 6.29270370190131e-14, "step": 0},
        {"id": 7, "ds": "2024-03-01", "yhat": None, "step": 1},
    ]


def test_score_prints_the_same_accuracy_as_fit(cellwright, trained, data, tmp_path):
    result = json.loads((tmp_path / "run/result.json").read_text())
    _, output, _ = cellwright("score", "run", "--json")
    assert json.loads(output) == {"job": "classify", "test": result["test"], "run": "run"}
    _, output, _ = cellwright("score", "run")
    assert f"accuracy {result['test']['accuracy']:.4f} on 8 sequences" in output
    assert cellwright("score", "run", "--data", data)[0] == 0


def test_the_zoo_is_shown(cellwright):
    code, output, _ = cellwright("cells")
    assert code == 0
    assert len(output.splitlines()) >= len(cw.cells.names())
    _, output, _ = cellwright("cells", "lstm")
    assert cw.cells.lstm.equations in output
    assert "parameters  4·(H·(I + H) + H)" in output
    _, output, _ = cellwright("cells", "gru", "--latex")
    assert r"\odot" in output
    _, output, _ = cellwright("cells", "--json")
    assert {json.loads(line)["name"] for line in output.splitlines()} == set(cw.cells.names())


def test_a_finished_run_that_was_not_yet_replaced_is_none_to_go_on_with(
    cellwright, trained, monkeypatch
):
    def interrupted(*_, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(cw.jobs, "run", interrupted)
    again = ["fit", "classify", "--data", "data.npz", "--out", "run"]
    assert cellwright(*again, "--overwrite") == (130, "", "")
    Path("run/result.json").write_text("{")
    assert cellwright(*again, "--overwrite") == (130, "", "")
    Path("run/result.json").unlink()
    assert "go on with: cellwright fit classify --out run --resume" in cellwright(*again)[1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("cells lstn", 1, "cellwright: there is no cell 'lstn'. Did you mean 'lstm'?"),
        ("fit classify --data digts", 1, "no data set 'digts'. Did you mean 'digits'?"),
        ("fit classify --data none.csv", 1, "none.csv"),
        ("fit classify --data-dir nowhere --data mnist", 1, "nowhere holds neither"),
        ("fit classify --layers 0", 1, "cellwright: --layers=0: must be at least 1"),
        ("fit classify --layers wide", 1, "layers='wide'"),
        ("fit classify --cell lstn --data data.npz", 1, "Did you mean 'lstm'"),
        (
            "fit classify --config none.yaml",
            1,
            "none.yaml cannot be read: No such file or directory\n",
        ),
        ("fit classify --config data.npz", 1, "data.npz is not the config.yaml of a run"),
        ("fit classify --data data.npz --out data.npz", 1, "data.npz cannot be made"),
        ("predict nowhere", 1, "there is no run folder or model file nowhere"),
        ("predict data.npz", 1, "data.npz is not a cellwright model file"),
        ("score run/model.cw", 1, "give --data"),
        (
            "predict run --out no/such/folder.csv",
            1,
            "no/such/folder.csv: No such file or directory",
        ),
        # Before anything is loaded or predicted.
        ("predict nowhere --out no/such/folder.csv", 1, "no/such/folder.csv: No such file"),
        ("predict run --out run", 1, "cellwright: run: Is a directory"),
        ("fit classify --config some.csv", 1, "some.csv is not the config.yaml of a run"),
        ("fit classify --config odd.yaml", 1, "options: must be names with their values"),
        (
            "fit classify --test-fraction 2",
            1,
            "cellwright: --test-fraction=2.0: must be less",
        ),
        ("fit classify --sizes proj", 1, "write proj=32"),
        ("fit classify --epochs many", 2, "--epochs"),
        ("fit classify --optimizer adams", 2, "adamw"),
        ("fit classify --epoch 3", 2, "No such option"),
        ("fly", 2, "No such command"),
        ("predict", 2, "Missing argument"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(cellwright, trained, words, code, message):
    Path("some.csv").write_text("id,step\n1,2\n")
    Path("odd.yaml").write_text("options: 3\n")
    found, _, errors = cellwright(*words.split())
    assert found == code
    assert message in errors
    assert "Traceback" not in errors
    if code == 1:
        assert errors.startswith("cellwright: ")
        assert errors.count("\n") == 1


def test_a_wrong_environment_variable_is_named(cellwright, trained, monkeypatch, fresh_settings):
    monkeypatch.setenv("CELLWRIGHT_DEBUG", "9")
    code, _, errors = cellwright("fit", "classify", "--data", "data.npz", "--layers", "7")
    assert code == 1
    assert errors.startswith("cellwright: CELLWRIGHT_DEBUG='9'")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["fit", "classify", "--help"]])
def test_help_does_not_wait_for_torch(words):
    program = (
        "import sys; from cellwright.cli import main; sys.argv[0] = 'cellwright'\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'sklearn', 'pandas', 'matplotlib', 'lightning_fabric'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "cellwright" in done.stdout or "Learn which class" in done.stdout


def test_the_package_itself_is_a_command():
    run = [sys.executable, "-m", "cellwright", "--version"]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"cellwright {cw.__version__}\n"


@pytest.mark.parametrize("missing", ["typer", "pandas"])
def test_a_missing_extra_says_how_to_install_it(missing):
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from cellwright.cli import main; sys.argv[1:] = ['--help']; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"cellwright: this part of cellwright needs {missing}: pip install 'cellwright[jobs]'\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        "--cell lstn",
        "--backend abacus",
        "--initialization odd",
        "--sizes proj=3",
        "--patience 3 --validation-fraction 0",
    ],
)
def test_a_mistake_leaves_no_run_behind(cellwright, trained, data, tmp_path, words):
    model = (tmp_path / "run/model.cw").read_bytes()
    for flags in (["--out", "new"], ["--out", "run", "--overwrite"]):
        assert cellwright("fit", "classify", "--data", data, *flags, *words.split())[0] == 1
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "run/model.cw").read_bytes() == model
    assert (tmp_path / "run/result.json").exists()


def test_a_resume_of_nothing_says_so(cellwright, data):
    words = ["fit", "classify", "--data", data, "--out", "new", "--resume", *SMALL]
    _, output, _ = cellwright(*words)
    assert output.startswith("nothing to resume in new; starting a new run\nclassify data")
    assert "nothing to resume" not in cellwright(*words)[1]


def test_a_run_that_is_not_finished_says_so(cellwright, trained, tmp_path):
    (tmp_path / "run/model.cw").unlink()
    code, _, errors = cellwright("predict", "run")
    assert (code, errors) == (1, "cellwright: run: this run is not finished; go on with --resume\n")


def test_a_run_is_used_from_any_folder(cellwright, trained, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cellwright("score", "../run")[0] == 0
