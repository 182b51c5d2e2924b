"""`rnnsim parse`: the trees that a trained network finds over the words of sentences, or over the segments of a picture."""

import click

from rnnsim.errors import RnnsimError
from rnnsim_cli import own_code
from rnnsim_cli.console import as_json, report, table


@click.command("parse", short_help="Bracket sentences, or label a picture, by a trained parser.")
@click.argument("run_folder", metavar="RUN")
@click.argument("file", metavar="FILE")
@click.option(
    "--scores", is_flag=True, help="Write the score of every merge behind its bracket, as in ((the cat):1.5 sat):0.9."
)
@click.option(
    "--search", default="greedy", show_default=True, help="greedy; beam or chart, with --width forests or trees a span."
)
@click.option("--width", type=click.IntRange(1), default=1, show_default=True, help="Width of a beam or a chart.")
@click.option("--segments", type=int, metavar="N", help="About how many segments a picture is cut into. [default: 100]")
@click.option("--out", metavar="DIR", help="Folder for what is found in a picture. [default: figures in RUN]")
@own_code.options
@as_json
def command(run_folder, file, scores, search, width, segments, out, json_wanted, code, accept_source):
    """Bracket the sentences of FILE, one a line, by the network of RUN; - reads standard input. Or label the picture FILE.

    Words are separated by spaces. Marks of punctuation are left out, as in the training; an empty line stays empty.

    A PNG or JPEG picture is cut into segments, for a run of the task scenes: their classes, the order of their merges and the
    merge tree are drawn, and written as numbers.

    \b
    rnnsim train bracketing --network rnn-tree -o score=true -o leaves=own --rule max-margin --steps 2000
    echo "the cat sat on the mat" | rnnsim parse runs/bracketing-rnn-tree-1 -
    rnnsim parse runs/scenes-rnn-tree-1 photograph.jpg --segments 100
    """
    from rnnsim.networks.recursive.parsing import Search
    from rnnsim.training.run import open_run

    run = open_run(run_folder, code, accept_source)
    task = run.task()
    if task.reads_pictures:
        if scores:
            raise RnnsimError("--scores: it is for sentences; the scores of a picture are in its .json file")
        data, lines = _label(run, task, file, 100 if segments is None else segments, Search(search, width), out)
        return report(data, json_wanted, lines)
    for option, value in (("--segments", segments), ("--out", out)):
        if value is not None:
            raise RnnsimError(
                f"{option}: it is for pictures, which the task {run.config['task']['name']} does not read"
            )
    found = _bracketed_lines(run, task, file, Search(search, width), scores)
    report({"trees": found}, json_wanted, found)


def _bracketed_lines(run, task, file, search, scores):
    """The trees over the sentences of a file, one a line."""
    import sys

    from rnnsim.core.reading import decoded, is_picture, read_text
    from rnnsim.networks.recursive.parsing import parse

    if file != "-" and is_picture(file):
        raise RnnsimError(f"{file}: a picture, which the task {run.config['task']['name']} does not read")
    text = decoded(sys.stdin.buffer.read(), "standard input") if file == "-" else read_text(file)
    lines = text.splitlines()
    sentences, graphs = task.read_sentences(lines)
    net = run.net()
    found, parsed = [" ".join(words) for words in sentences], [row for row, words in enumerate(sentences) if words]
    if graphs is not None:
        parses = parse(net, graphs, search).parses
        for k, row in enumerate(parsed):
            part = slice(parses.starts[k], parses.starts[k + 1])
            found[row] = bracketed(sentences[row], parses.pairs[part], parses.scores[part] if scores else None)
    return found


def _label(run, task, file, segments, search, out):
    """Label a picture and write what is found; (data, lines) to report."""
    import io
    import json
    from pathlib import Path

    import numpy as np

    from rnnsim import plotting
    from rnnsim.core.checkpoint import write_atomically
    from rnnsim.networks.recursive.parsing import parse

    picture, graph = task.read_picture(file, segments)
    net, names = run.net(), list(task.target_names)
    parses = parse(net, graph, search).parses
    classes = net.evaluate(graph, task.loss).outputs.classes.argmax(axis=-1)
    labels = picture.full_labels()
    pixels = np.bincount(classes[picture.labels].ravel(), minlength=len(names))
    counts = np.bincount(classes, minlength=len(names))
    rows = [
        {"class": names[k], "segments": int(counts[k]), "share": float(pixels[k] / pixels.sum())}
        for k in np.argsort(-pixels, kind="stable")
        if counts[k]
    ]
    folder, stem = run.figures if out is None else Path(out), Path(file).stem
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{stem}-{name}" for name in ("labels.png", "merges.png", "labels.npz", "labels.json")}
    title = f"{run.title}: {stem}"
    plotting.segmentation(picture, classes, names, files["labels.png"], title)
    plotting.merge_tree(picture, parses, classes, names, files["merges.png"], title)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, segments=labels, classes=classes.astype(np.int32)[labels])
    write_atomically(files["labels.npz"], buffer.getvalue())
    tree = {"class_names": names, "segment_classes": classes.tolist()}
    tree |= {"merges": parses.pairs.tolist(), "scores": [float(score) for score in parses.scores]}
    write_atomically(files["labels.json"], json.dumps(tree, indent=1) + "\n")
    made = [str(path) for path in files.values()]
    data = {"segments": len(classes), "classes": rows, "files": made}
    shares = [(row["class"], row["segments"], f"{100 * row['share']:.1f} %") for row in rows]
    lines = [*table(shares, ("class", "segments", "share"), right=(1, 2)), "", *(f"written  {path}" for path in made)]
    return data, lines


def bracketed(words, pairs, scores=None):
    """A binary tree over words as a text; the words of a sentence may be many, so each is joined once."""
    children = {len(words) + merge: pair for merge, pair in enumerate(pairs.tolist())}
    pieces, open_ends = [], [len(words) + len(pairs) - 1]
    while open_ends:
        node = open_ends.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif node < len(words):
            pieces.append(words[node])
        else:
            left, right = children[node]
            close = ")" if scores is None else f"):{scores[node - len(words)]:.3g}"
            pieces.append("(")
            open_ends += [close, right, " ", left]
    return "".join(pieces)
