"""Tasks, one family a file: `help(rnnsim.tasks.Adding)` documents a task, `help(rnnsim.tasks.Task)` the contract.

>>> TASKS.build("adding", {"length": "50"}).n_inputs
2
"""

from rnnsim.core.lazy import lazy
from rnnsim.core.registry import Registry

TASKS = Registry(
    "task",
    {
        "xor": ("rnnsim.tasks.xor:XOR", "XOR of two random bits, some time steps later (Williams & Zipser 1989)"),
        "sequence-recognition": (
            "rnnsim.tasks.sequence_recognition:SequenceRecognition",
            "say when a was followed by b, at any distance (Williams & Zipser 1989)",
        ),
        "delayed-nonmatch": (
            "rnnsim.tasks.delayed_nonmatch:DelayedNonmatch",
            "whether a pattern differs from the last flagged one (Williams & Zipser 1989)",
        ),
        "parenthesis-turing": (
            "rnnsim.tasks.parenthesis_turing:ParenthesisTuring",
            "the finite control of a Turing machine that checks parentheses (Williams & Zipser 1989)",
        ),
        "oscillator": (
            "rnnsim.tasks.oscillator:Oscillator",
            "01, 0011 or a sine from a constant input, for teacher forcing (Williams & Zipser 1989)",
        ),
        "embedded-reber": (
            "rnnsim.tasks.reber:EmbeddedReber",
            "the next symbol of embedded Reber strings (Hochreiter & Schmidhuber 1997, exp. 1)",
        ),
        "long-lag": (
            "rnnsim.tasks.long_lag:LongLag",
            "one symbol over a long lag, with or without noise between (Hochreiter & Schmidhuber 1997, exp. 2)",
        ),
        "two-sequence": (
            "rnnsim.tasks.two_sequence:TwoSequence",
            "two classes by the first elements of a noisy sequence (Hochreiter & Schmidhuber 1997, exp. 3)",
        ),
        "adding": (
            "rnnsim.tasks.adding:Adding",
            "the sum of two marked numbers (Hochreiter & Schmidhuber 1997, exp. 4)",
        ),
        "multiplication": (
            "rnnsim.tasks.multiplication:Multiplication",
            "the product of two marked numbers (Hochreiter & Schmidhuber 1997, exp. 5)",
        ),
        "temporal-order": (
            "rnnsim.tasks.temporal_order:TemporalOrder",
            "the order of 2, 3 or 4 symbols among distractors (Hochreiter & Schmidhuber 1997, exp. 6)",
        ),
        "continual-reber": (
            "rnnsim.tasks.continual_reber:ContinualReber",
            "which symbols may come next in a stream of embedded Reber strings (Gers et al. 2000)",
        ),
        "continual-temporal-order": (
            "rnnsim.tasks.continual_temporal_order:ContinualTemporalOrder",
            "the order of symbols, sequence after sequence in a stream (Gers et al. 2000)",
        ),
        "languages": (
            "rnnsim.tasks.languages:Languages",
            "which symbols may come next in a^n b^n, a^n b^m B^m A^n, a^n b^n c^n (Gers & Schmidhuber 2001)",
        ),
        "spike-delays": ("rnnsim.tasks.timing:SpikeDelays", "measure the delays between spikes (Gers et al. 2002)"),
        "timed-spikes": ("rnnsim.tasks.timing:TimedSpikes", "generate spikes at given delays (Gers et al. 2002)"),
        "periodic-function": (
            "rnnsim.tasks.timing:PeriodicFunction",
            "a cosine, triangle or rectangle without any input (Gers et al. 2002)",
        ),
        "delayed-xor": (
            "rnnsim.tasks.delayed_xor:DelayedXOR",
            "XOR of two marked signs, after a long delay (a limit named by Hochreiter & Schmidhuber 1997)",
        ),
        "counting": (
            "rnnsim.tasks.counting:Counting",
            "tell a delay of 99 time steps from one of 100 (a limit named by Hochreiter & Schmidhuber 1997)",
        ),
        "latch": ("rnnsim.tasks.latch:Latch", "the first element of a noisy sequence (Bengio et al. 1994)"),
        "parity": ("rnnsim.tasks.parity:Parity", "whether the number of ones is odd (Hochreiter & Schmidhuber 1996)"),
        "tomita": ("rnnsim.tasks.tomita:Tomita", "whether a string belongs to a regular language (Tomita 1982)"),
        "copy": ("rnnsim.tasks.copy:Copy", "repeat a sequence of random bit vectors (Graves, Wayne & Danihelka 2014)"),
        "copy-curriculum": (
            "rnnsim.tasks.copy_curriculum:CopyCurriculum",
            "copy bit strings that grow longer with success (Mujika, Meier & Steger 2018)",
        ),
        "repeat-copy": (
            "rnnsim.tasks.repeat_copy:RepeatCopy",
            "repeat bit vectors a given number of times (Graves, Wayne & Danihelka 2014)",
        ),
        "associative-recall": (
            "rnnsim.tasks.associative_recall:AssociativeRecall",
            "the item that followed a given one (Graves, Wayne & Danihelka 2014)",
        ),
        "ngrams": (
            "rnnsim.tasks.ngrams:DynamicNGrams",
            "the next bit of a random 6-gram source (Graves, Wayne & Danihelka 2014)",
        ),
        "priority-sort": (
            "rnnsim.tasks.priority_sort:PrioritySort",
            "bit vectors in the order of their priorities (Graves, Wayne & Danihelka 2014)",
        ),
        "delayed-recall": (
            "rnnsim.tasks.delayed_recall:DelayedRecall",
            "name the first symbol of a sequence after a delay",
        ),
        "add": ("rnnsim.tasks.add:Add", "a soft label from two bits of the past, a stream (Marschall et al. 2020)"),
        "mimic": ("rnnsim.tasks.mimic:Mimic", "imitate a fixed random network, a stream (Marschall et al. 2020)"),
        "influence-balancing": (
            "rnnsim.tasks.influence_balancing:InfluenceBalancing",
            "hold a constant by a parameter that acts first one way, then the other (Tallec & Ollivier 2017)",
        ),
        "anbn": ("rnnsim.tasks.anbn:AnBn", "the next character of lines a^n b^n, a stream (Tallec & Ollivier 2017)"),
        "brackets": (
            "rnnsim.tasks.brackets:Brackets",
            "the next character where brackets are repeated after noise, a stream (Tallec & Ollivier 2017)",
        ),
        "sine": ("rnnsim.tasks.sine:Sine", "generate a sine wave from a start pulse or a constant input"),
        "text": ("rnnsim.tasks.text:Text", "the next symbol of a text file"),
        "digits": ("rnnsim.tasks.images:Digits", "8x8 handwritten digits row by row; come with rnnsim"),
        "mnist-rows": ("rnnsim.tasks.images:MNISTRows", "MNIST digits row by row"),
        "mnist-pixels": ("rnnsim.tasks.images:MNISTPixels", "MNIST digits pixel by pixel, 784 time steps"),
        "fashion-rows": ("rnnsim.tasks.images:FashionRows", "Fashion-MNIST row by row"),
        "imdb": ("rnnsim.tasks.imdb:IMDB", "film reviews, for or against the film, as sequences of words"),
        "logical-terms": (
            "rnnsim.tasks.logical_terms:LogicalTerms",
            "a label, a sub-term or an instance of f(X, X) in logical terms; trees (Goller & Küchler 1996)",
        ),
        "formulas": ("rnnsim.tasks.formulas:Formulas", "the value of Boolean formulas of growing depth; trees"),
        "arithmetic": ("rnnsim.tasks.formulas:Arithmetic", "the value modulo m of expressions of growing depth; trees"),
        "bracketing": (
            "rnnsim.tasks.bracketing:Bracketing",
            "binary trees over English sentences of UD English EWT (Socher et al. 2011)",
        ),
        "scenes": (
            "rnnsim.tasks.scenes:Scenes",
            "classes and merges of real picture regions in generated neighbourhoods (Socher et al. 2011)",
        ),
        "sentiment": ("rnnsim.tasks.sentiment:Sentiment", "rated sentences, for or against a film, over trees"),
        "sentiment-words": (
            "rnnsim.tasks.sentiment:SentimentWords",
            "rated sentences, for or against a film, as sequences of words",
        ),
        "arrays": ("rnnsim.tasks.arrays:Arrays", "your own arrays from .npy, .npz or .csv files"),
    },
    group="rnnsim.tasks",
    classes=("rnnsim.tasks.interface:Task",),
)
_CONTRACTS = {
    "Batch": "rnnsim.core.batch",
    "Criterion": "rnnsim.tasks.interface",
    "GeneratedTask": "rnnsim.tasks.interface",
    "Ratio": "rnnsim.tasks.interface",
    "Sequences": "rnnsim.core.batch",
    "StreamTask": "rnnsim.tasks.streams",
    "Task": "rnnsim.tasks.interface",
    "TextStream": "rnnsim.tasks.streams",
}
__getattr__, __dir__ = lazy(__name__, {**TASKS.exports(), **_CONTRACTS})
