"""`rnnsim parse`: the trees that a trained network finds over the words of sentences."""

import click

from rnnsim_cli import own_code
from rnnsim_cli.console import as_json, report


@click.command("parse", short_help="Bracket sentences by a trained parser.")
@click.argument("run_folder", metavar="RUN")
@click.argument("file", metavar="FILE")
@click.option(
    "--scores", is_flag=True, help="Write the score of every merge behind its bracket, as in ((the cat):1.5 sat):0.9."
)
@click.option(
    "--search", default="greedy", show_default=True, help="greedy; beam or chart, with --width forests or trees a span."
)
@click.option("--width", type=click.IntRange(1), default=1, show_default=True, help="Width of a beam or a chart.")
@own_code.options
@as_json
def command(run_folder, file, scores, search, width, json_wanted, code, accept_source):
    """Bracket the sentences of FILE, one a line, by the network of RUN; - reads standard input.

    Words are separated by spaces. Marks of punctuation are left out, as in the training; an empty line stays empty.

    \b
    rnnsim train bracketing --network rnn-tree -o score=true -o leaves=own --rule max-margin --steps 2000
    echo "the cat sat on the mat" | rnnsim parse runs/bracketing-rnn-tree-1 -
    """
    from rnnsim.core.reading import read_text
    from rnnsim.networks.recursive.parsing import Search, parse
    from rnnsim.training.run import open_run

    run = open_run(run_folder, code, accept_source)
    task = run.task()
    lines = (click.get_text_stream("stdin").read() if file == "-" else read_text(file)).splitlines()
    sentences, graphs = task.read_sentences(lines)
    net = run.net()
    found, parsed = [" ".join(words) for words in sentences], [row for row, words in enumerate(sentences) if words]
    if graphs is not None:
        parses = parse(net, graphs, Search(search, width)).parses
        for k, row in enumerate(parsed):
            part = slice(parses.starts[k], parses.starts[k + 1])
            found[row] = bracketed(sentences[row], parses.pairs[part], parses.scores[part] if scores else None)
    report({"trees": found}, json_wanted, found)


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
