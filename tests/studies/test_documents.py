"""The networks, recipes and published figures of the documents."""

from __future__ import annotations

from typing import Any

from drawings import SHAPE
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.studies import Report, logit_regression, mimic, reduce_cnn, width_sweeps
from smidgen.studies.width_sweeps import SWEEPS, Member


def test_width_sweeps_has_the_published_counts() -> None:
    networks = [net for sweep in SWEEPS.values() for net in sweep.members]
    assert len(networks) == 24
    for net in networks:
        width = net.width
        formula = {
            "mlp1": width**2 + 796 * width + 10,
            "mlp2": width**2 + 208 * width + 10,
            "cnn1": 1170 * width**2 + 56 * width + 10,
            "cnn2": 63 * width**2 + 335 * width + 10,
        }[net.family]
        assert net.parameters == formula
    published = {name: sweep.turn.parameters for name, sweep in SWEEPS.items()}
    assert published == {"mlp1": 26_506, "mlp2": 17_418, "cnn1": 4_802, "cnn2": 932}
    assert (Member("mlp1", 512).parameters, Member("cnn1", 32).parameters) == (669_706, 1_199_882)


def test_logit_regression_has_the_published_counts() -> None:
    sizes = [logit_regression.size(h) for h in logit_regression.HIDDEN]
    assert sizes == [609_354, 314_090, 166_458, 92_642, 74_188, 55_734, 46_507, 37_280, 28_053]
    assert parse_spec(logit_regression.TEACHER).parameters(SHAPE) == 1_199_882
    assert parse_spec(logit_regression.CONVS).parameters(SHAPE) == 18_816


def test_mimic_has_the_published_counts() -> None:
    assert {name: net.parameters for name, net in mimic.NETS.items()} == {
        "CNN (teacher)": 209_898,
        "DNN 3 x 2000": 9_594_010,
        "DNN 3 x 64": 59_210,
        "SNN": 6_360_010,
        "SNN-mimic-8k L2": 263_710,
        "SNN-mimic-8k KL": 263_710,
        "mimic-400 KL": 28_110,
        "mimic-20k KL": 635_710,
    }
    plain = mimic.ABLATION["no bottleneck, KL"].spec.parameters(SHAPE)
    others = [784 * h + h + 10 * h + 10 for h in (mimic.PLAIN_HIDDEN - 1, mimic.PLAIN_HIDDEN, mimic.PLAIN_HIDDEN + 1)]
    assert plain == others[1] == min(others, key=lambda count: abs(count - 263_710)), "the nearest number of parameters"


def test_reduce_cnn_has_the_published_counts() -> None:
    counts = {name: (net.parameters, net.stored_numbers) for name, net in reduce_cnn.NETS.items()}
    assert counts == {"baseline": (591_786, 591_786), "approach 1": (3_418, 3_578), "approach 2": (3_130, 3_226)}


def test_the_recipes_are_the_documents() -> None:
    def of(recipe: Recipe) -> tuple[Any, ...]:
        return recipe.optimizer, recipe.learning_rate, recipe.schedule, recipe.epochs, recipe.batch_size, recipe.loss

    jobs = width_sweeps.jobs("document")
    assert of(jobs["mlp1, n = 32"].recipe) == ("rmsprop", 0.001, "constant", 20, 128, "labels")
    assert of(jobs["cnn2, n = 2"].recipe) == ("adadelta", 1.0, "constant", 12, 128, "labels")
    student = logit_regression.student_jobs()["h = 6"]
    assert of(student.recipe) == ("adadelta", 1.0, "constant", 12, 128, "logits")
    assert str(student.spec) == "dropout 0.2, dense 6 relu, dense 10"
    assert of(mimic.NETS["CNN (teacher)"].recipe) == ("sgd", 0.01, "constant", 30, 128, "labels")
    assert {net.recipe.epochs for net in mimic.NETS.values()} == {30}
    assert {name: job.recipe.epochs for name, job in mimic.notebook_jobs(with_teacher=True).items()} == {
        "SNN-mimic-8k L2": 20,
        "SNN-mimic-8k KL": 20,
    }
    assert mimic.notebook_jobs(with_teacher=False)["DNN 3 x 64"].recipe.epochs == 50
    assert mimic.NETS["SNN-mimic-8k L2"].recipe.loss == "probabilities"
    assert mimic.NETS["SNN-mimic-8k KL"].recipe.loss == "kl"
    stopped = reduce_cnn.documents_jobs()["approach 1"].recipe
    assert of(stopped) == ("adam-keras", 0.001, "constant", 30, 32, "labels")
    assert (stopped.patience, reduce_cnn.NOTEBOOK.patience, reduce_cnn.NOTEBOOK.epochs) == (2, 1, 10)


def test_what_was_published_is_in_the_rows(reports: dict[str, Report]) -> None:
    published = {name: {row.name: row.published for row in report.rows if row.published} for name, report in
                 reports.items()}  # fmt: skip
    assert published == {
        "logit-regression": {"teacher, h = 128": 0.99, "h = 6": 0.9626},
        "width-sweeps": {"mlp1, n = 32": 0.9711, "mlp2, n = 64": 0.9704, "cnn1, n = 2": 0.9748, "cnn2, n = 2": 0.97},
        "mimic": {
            "CNN (teacher)": 0.9024,
            "DNN 3 x 2000": 0.8948,
            "DNN 3 x 64": 0.8948,
            "SNN": 0.8887,
            "SNN-mimic-8k L2": 0.8262,
            "SNN-mimic-8k KL": 0.8709,
        },
        "reduce-cnn": {"baseline": 0.9859, "approach 1": 0.9793, "approach 2": 0.9666},
        "deep-compression": {"small": 0.99},
    }
