"""The public functions that train networks: `shrink`, `sweep`, `compress` and `reproduce`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from smidgen import arguments, places
from smidgen.arguments import Data
from smidgen.data import ReadOptions
from smidgen.errors import RequestError
from smidgen.extras import can_draw, install_line
from smidgen.model import Model, open_model
from smidgen.places import Out
from smidgen.progress import followed
from smidgen.report.answer import Answer
from smidgen.report.folder import write, write_compressed
from smidgen.report.sweep_folder import write_sweep
from smidgen.reporter import Reporter, SilentReporter
from smidgen.search.byte_search import ByteSearchEffort
from smidgen.search.compress import CompressResult
from smidgen.search.compress import compress as search_files
from smidgen.search.effort import Effort
from smidgen.search.shrink import shrink as search_networks
from smidgen.search.sweep import SweepResult
from smidgen.search.sweep import sweep as train_widths
from smidgen.text_forms import path_of, whole_number, whole_numbers
from smidgen.trials.store import Store
from smidgen.trials.workers import Pool

if TYPE_CHECKING:
    from smidgen.studies import Report


def shrink(
    data: Data,
    floor: float | str | None = None,
    *,
    within: float | str | None = None,
    bytes: int | None = None,
    params: int | None = None,
    macs: int | None = None,
    ram: int | None = None,
    flash: int | None = None,
    instructions: int | None = None,
    form: str | None = None,
    rule: str = "wilson",
    balanced: bool = False,
    class_floor: float | str | None = None,
    teacher: object = None,
    weights: str | Path | None = None,
    teacher_logits: str | Path | None = None,
    teacher_input: str = "",
    label: str = "",
    drop: Sequence[str] | None = None,
    classes: Sequence[str] | str | None = None,
    layout: str = "",
    group_column: str = "",
    window: int | None = None,
    step: int | None = None,
    time_column: str = "",
    resize: Sequence[int] | str | None = None,
    effort: str | Effort = "normal",
    minutes: float | str | None = None,
    work: float | str | None = None,
    seed: int = 0,
    copies: int | None = None,
    split_seed: int = 0,
    out: Out = None,
    samples: bool = True,
    store: Store | str | Path | None = None,
    workers: int | None = None,
    cluster: Pool | str | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
    command: str = "",
) -> Answer:
    """Find the smallest network that holds an accuracy floor, or the most accurate one within limits.

    Give `floor` or `within`, limits, or both.

    Args:
        data: name of a published data set, path of a file or folder, a `Dataset`, or arrays (X, y).
        floor: the accuracy to hold: 0.97 or "97%".
        within: how far below its teacher the network may be: 0.005 or "0.5%" is half a point.
        bytes: most bytes of its .smidgen file.
        params: most parameters.
        macs: most multiply-accumulates for one image.
        ram: most bytes of values alive at once while one image is classified, as float32; with `form` most bytes of
            RAM of the C program, an input and the stack not included.
        flash: most bytes of flash of the C program on a Cortex-M0+; needs `form`.
        instructions: most instructions of the C program for one input on a Cortex-M0+; needs `form`.
        form: the form of the C program that `ram`, `flash` and `instructions` limit: "integer", "levels" or "float".
        rule: "wilson": the floor is held with 95 % confidence; "rate": by the plain rate; "strict": the confirmation
            half shows it by itself.
        balanced: measure accuracy as the mean over the classes.
        class_floor: accuracy that each class must reach on its own: 0.8 or "80%"; None asks for nothing.
        teacher: what to learn from: model.onnx, .keras, .safetensors, .smidgen, module.py:factory, a torch module, a
            Keras model, a fitted scikit-learn classifier, a function or a `Teacher`; None trains one.
        weights: weights of a teacher module.py:factory, .safetensors or .pt.
        teacher_logits: .npy file with the teacher's logits, a row for each image.
        teacher_input: axes and range of the teacher's input, such as "nhwc 0..1"; "" finds them.
        label: column of a table that has the labels; "" finds it.
        drop: columns of a table to leave out.
        classes: names of the classes in the order of the outputs: ("low", "high") or "low,high".
        layout: axes of an example, "time-channels" or another of `smidgen.data.layout.LAYOUTS`; "" finds them.
        group_column: column that names each row's group; rows of one group stay in one split.
        window: rows of a table in long form that make one window of a signal; None: each row is an example.
        step: rows from the begin of one window to that of the next; None: windows follow one another.
        time_column: column of a table in long form that has the times; "": rows are in order.
        resize: (height, width) to which the pictures of a folder are brought.
        effort: "glance", "quick", "normal", "thorough" or an `Effort`.
        minutes: minutes that the search may take on this machine, in place of an effort. Before anything is trained
            they are turned into work, which the result keeps.
        work: multiply-accumulates of training that the search may take, in place of an effort: 1.2e12. The same work
            gives the same networks on every machine.
        seed: seed of the search and of every training.
        copies: augment with this many copies of each image, 2..N randomly shifted, rotated and scaled; None: 4 of
            fewer than 2,000 pictures of at least 16x16, else 1.
        split_seed: seed of the split into training and validation images.
        out: folder for report.html, the pictures, trials.csv and the networks; True: runs/DATA-FLOOR, with the rule,
            the effort and the seed where they are not the default.
        samples: whether the report holds test samples, to try the network on and as what it gets wrong.
        store: path, database URL or `Store` that remembers trainings; a `Store` stays open.
        workers: trainings at once; None: one for each CPU.
        cluster: where to train instead of in threads of this process, with the same result: the address of a Dask
            scheduler ("tls://host:8786"), "local:4" for processes of this machine, or a `Pool`.
        engine: what trains: "auto", "native" or "torch".
        reporter: is told of the progress (`smidgen.reporter.Reporter`); None shows it in terminals and notebooks.
        command: the command line that the report shows.

    Returns:
        The network, the evidence, and everything that was trained on the way. A notebook shows its report.

    Raises:
        RequestError: an argument cannot be, or so few images cannot show the floor.
        FloorNotMet: no network that was trained holds the floor; the message names the best.
    """
    arguments.check_data(data)
    reading = ReadOptions.of(resize, group_column, label, drop, classes, window, step, time_column, layout)
    seed, workers = arguments.seed_of(seed), arguments.workers_of(workers)
    limits = {"bytes": bytes, "params": params, "macs": macs, "ram": ram, "flash": flash, "instructions": instructions}
    goal = arguments.goal_of(floor, within, limits, rule=rule, balanced=balanced, class_floor=class_floor, form=form)
    imitated = arguments.teacher_of(teacher, weights, teacher_logits, teacher_input)
    budget = arguments.budget_of(minutes, work, effort)
    folder = places.folder_of(out, Path("runs") / places.run_stem(data, goal, budget.slug or effort, seed))
    with followed(reporter) as told:
        dataset = arguments.dataset(data, split_seed=split_seed, reading=reading, copies=copies, reporter=told)
        with arguments.opened(store) as memo, arguments.connected(cluster) as pool:
            result = search_networks(
                dataset, goal, teacher=imitated, effort=effort, seed=seed,
                store=memo, workers=workers, engine=engine, reporter=told, pool=pool, budget=budget,
            )  # fmt: skip
    answer = Answer.of(replace(result, written_to=folder), samples=samples, command=command)
    if folder is not None:
        write(result, folder, command, samples=samples, device=answer.device)
    return answer


def sweep(
    data: Data,
    *,
    family: str = "cnn2",
    widths: Sequence[int] | str = "8,4,2,1",
    seeds: int = 3,
    epochs: int | None = None,
    optimizer: str | None = None,
    label: str = "",
    drop: Sequence[str] | None = None,
    classes: Sequence[str] | str | None = None,
    layout: str = "",
    group_column: str = "",
    window: int | None = None,
    step: int | None = None,
    time_column: str = "",
    resize: Sequence[int] | str | None = None,
    split_seed: int = 0,
    out: Out = None,
    store: Store | str | Path | None = None,
    workers: int | None = None,
    cluster: Pool | str | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
) -> SweepResult:
    """Train one family of networks at several widths and find where the curve of accuracy bends.

    Args:
        data: name of a published data set, path of a file or folder, a `Dataset`, or arrays (X, y).
        family: "mlp1", "mlp2", "cnn1" or "cnn2".
        widths: (8, 4, 2, 1) or "8,4,2,1".
        seeds: trainings of each width.
        epochs: epochs of each training; None: as many as each width's recipe says.
        optimizer: "adam", "adam-keras", "sgd", "nesterov", "rmsprop" or "adadelta", with its usual constant rate; None:
            each width's own one-cycle recipe.
        label: column of a table that has the labels; "" finds it.
        drop: columns of a table to leave out.
        classes: names of the classes in the order of the outputs: ("low", "high") or "low,high".
        layout: axes of an example, "time-channels" or another of `smidgen.data.layout.LAYOUTS`; "" finds them.
        group_column: column that names each row's group; rows of one group stay in one split.
        window: rows of a table in long form that make one window of a signal; None: each row is an example.
        step: rows from the begin of one window to that of the next; None: windows follow one another.
        time_column: column of a table in long form that has the times; "": rows are in order.
        resize: (height, width) to which the pictures of a folder are brought.
        split_seed: seed of the split into training and validation images.
        out: folder for sweep.csv and sweep.png; True: runs/DATA-FAMILY.
        store: path, database URL or `Store` that remembers trainings; a `Store` stays open.
        workers: trainings at once; None: one for each CPU.
        cluster: where to train instead of in threads of this process, as in `shrink`.
        engine: what trains: "auto", "native" or "torch".
        reporter: is told of the progress (`smidgen.reporter.Reporter`); None shows it in terminals and notebooks.

    Returns:
        The scores of every width and seed, and the turning point.

    Raises:
        RequestError: there is no such family or optimizer, or a number is below 1.
    """
    arguments.check_data(data)
    reading = ReadOptions.of(resize, group_column, label, drop, classes, window, step, time_column, layout)
    seeds, workers = whole_number(seeds, "seeds", "leave it out for 3"), arguments.workers_of(workers)
    folder = places.folder_of(out, Path("runs") / f"{arguments.data_stem(data)}-{family}")
    sizes, recipe = whole_numbers(widths, "widths"), arguments.recipe_of(optimizer, epochs)
    with followed(reporter) as told:
        dataset = arguments.dataset(data, split_seed=split_seed, reading=reading, reporter=told)
        with arguments.opened(store) as memo, arguments.connected(cluster) as pool:
            result = train_widths(
                dataset, family, sizes, seeds=seeds, recipe=recipe,
                store=memo, workers=workers, engine=engine, reporter=told, pool=pool,
            )  # fmt: skip
    if folder is None:
        return result
    write_sweep(result, folder)
    return replace(result, written_to=folder)


def compress(
    files: Model | str | Path | Sequence[Model | str | Path],
    floor: float | str | None = None,
    *,
    within: float | str | None = None,
    bytes: int | None = None,
    rule: str = "wilson",
    data: Data | None = None,
    label: str = "",
    drop: Sequence[str] | None = None,
    classes: Sequence[str] | str | None = None,
    layout: str = "",
    group_column: str = "",
    window: int | None = None,
    step: int | None = None,
    time_column: str = "",
    resize: Sequence[int] | str | None = None,
    teacher: object = None,
    effort: str | ByteSearchEffort = "normal",
    seed: int = 0,
    copies: int | None = None,
    split_seed: int = 0,
    out: Out = None,
    store: Store | str | Path | None = None,
    workers: int | None = None,
    cluster: Pool | str | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
) -> CompressResult:
    """Find the shortest file of a trained network that holds an accuracy floor.

    Give `floor`, `within` or `bytes`.

    Args:
        files: one or more network files or `Model`s; the search starts from the most accurate.
        floor: the accuracy to hold: 0.97 or "97%".
        within: how far below the given network the file may be: 0.001 or "0.1%".
        bytes: most bytes of the file.
        rule: "wilson": the floor is held with 95 % confidence; "rate": by the plain rate; "strict": the confirmation
            half shows it by itself.
        data: what the network was trained on; None: as its file says.
        label: column of a table that has the labels; "" finds it.
        drop: columns of a table to leave out.
        classes: names of the classes in the order of the outputs: ("low", "high") or "low,high".
        layout: axes of an example, "time-channels" or another of `smidgen.data.layout.LAYOUTS`; "" finds them.
        group_column: column that names each row's group; rows of one group stay in one split.
        window: rows of a table in long form that make one window of a signal; None: each row is an example.
        step: rows from the begin of one window to that of the next; None: windows follow one another.
        time_column: column of a table in long form that has the times; "": rows are in order.
        resize: (height, width) to which the pictures of a folder are brought.
        teacher: what to learn from while the weights are quantized; None: teacher.safetensors beside the first file if
            there is one, else the network itself.
        effort: "glance", "quick", "normal", "thorough" or a `ByteSearchEffort`.
        seed: seed of the search and of every training.
        copies: augment with this many copies of each image, 2..N randomly shifted, rotated and scaled; None: 4 of
            fewer than 2,000 pictures of at least 16x16, else 1.
        split_seed: seed of the split that the network was trained on.
        out: the .smidgen file to write, with its curve as .png and all candidates as .csv; True: beside the first file,
            as NAME-compressed.smidgen.
        store: path, database URL or `Store` that remembers trainings; a `Store` stays open.
        workers: trainings at once; None: one for each CPU.
        cluster: where to train instead of in threads of this process, as in `shrink`.
        engine: what trains: "auto", "native" or "torch".
        reporter: is told of the progress (`smidgen.reporter.Reporter`); None shows it in terminals and notebooks.

    Returns:
        The file, the evidence, and every file that was tried.

    Raises:
        RequestError: an argument cannot be, or a network does not fit the data.
        ModelFileError: a network file cannot be read, or the result not be written.
        FloorNotMet: no file that was tried holds the floor; the message names the best.
    """
    seed, workers = arguments.seed_of(seed), arguments.workers_of(workers)
    goal = arguments.goal_of(floor, within, {"bytes": bytes}, rule=rule)
    reading = ReadOptions.of(resize, group_column, label, drop, classes, window, step, time_column, layout)
    given = list(files) if isinstance(files, Sequence) and not isinstance(files, str) else [files]
    if not given:
        raise RequestError("no network was given; give at least one")
    models = [each if isinstance(each, Model) else open_model(path_of(each, "files")) for each in given]
    first = None if isinstance(given[0], Model) else path_of(given[0], "files")
    path = places.file_of(out, first)
    if data is None:
        data = arguments.data_of(models[0], str(first or "the network"))
    with followed(reporter) as told:
        dataset = arguments.dataset(data, split_seed=split_seed, reading=reading, copies=copies, reporter=told)
        imitated = arguments.model_teacher(teacher, first, told or SilentReporter())
        with arguments.opened(store) as memo, arguments.connected(cluster) as pool:
            result = search_files(
                models, dataset, goal, teacher=imitated, effort=effort, seed=seed,
                store=memo, workers=workers, engine=engine, reporter=told, pool=pool,
            )  # fmt: skip
    if path is None:
        return result
    write_compressed(result, path)
    return replace(result, written_to=path)


def reproduce(
    name: str,
    *,
    quick: bool = False,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
    workers: int | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
) -> tuple[Report, ...]:
    """Reproduce published tables beside this package's own recipes, and answer the documents' questions.

    Args:
        name: "logit-regression", "width-sweeps", "mimic", "reduce-cnn", "deep-compression", or "all".
        quick: take minutes instead of hours: fewer epochs, fewer seeds, and no large networks.
        out: folder for the tables, findings and pictures of each document, and index.md.
        store: path, database URL or `Store` that remembers trainings; a `Store` stays open.
        workers: trainings at once; None: one for each CPU.
        engine: what trains: "auto", "native" or "torch".
        reporter: is told of the progress (`smidgen.reporter.Reporter`); None shows it in terminals and notebooks.

    Returns:
        A report for each document.

    Raises:
        RequestError: there is no such document.
    """
    # Importing the studies takes half as long as all the rest, and no other command needs them.
    from smidgen import studies

    studies.wanted(name)
    workers = arguments.workers_of(workers)
    folder = None if out is None else arguments.writable(path_of(out, "out"))
    if folder is not None and not can_draw():
        raise RequestError(f"the documents have pictures, which need matplotlib; {install_line('matplotlib')}")
    reports = []
    with followed(reporter) as told, arguments.opened(store) as memo:
        found = studies.run(
            name, quick=quick, store=memo, workers=workers, engine=engine, reporter=told,
            data=lambda name: arguments.dataset(name, reporter=told),
        )  # fmt: skip
        for report in found:
            if folder is not None:
                studies.write(report, folder)
            reports.append(report)
    if folder is not None:
        studies.write_index(reports, folder)
    return tuple(reports)
