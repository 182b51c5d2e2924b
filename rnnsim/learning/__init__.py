"""Learning rules, one a file; the contract is `rnnsim.learning.interface.Rule`."""

from rnnsim.core.registry import Registry

RULES = Registry(
    "rule",
    {
        "bptt": ("rnnsim.learning.bptt:BPTT", "back-propagation through all time steps of the batch"),
        "tbptt": (
            "rnnsim.learning.truncated_bptt:TruncatedBPTT",
            "BPTT(h; h'): h time steps back, every h' time steps",
        ),
        "rtrl": ("rnnsim.learning.rtrl:RTRL", "real-time recurrent learning: the exact gradient, forward in time"),
        "hybrid": (
            "rnnsim.learning.hybrid:Hybrid",
            "the gradient of rtrl in blocks, n times cheaper (Schmidhuber 1992)",
        ),
        "truncated": (
            "rnnsim.learning.truncated:Truncated",
            "the direct term of rtrl alone: the rule of the 1997 LSTM (Hochreiter & Schmidhuber 1997)",
        ),
        "snap": ("rnnsim.learning.snap:SnAp", "SnAp-n: the influence that n time steps can reach (Menick et al. 2021)"),
        "rflo": ("rnnsim.learning.rflo:RFLO", "local eligibility traces and random feedback (Murray 2019)"),
        "eprop": ("rnnsim.learning.eprop:EProp", "eligibility traces and learning signals (Bellec et al. 2020)"),
        "uoro": ("rnnsim.learning.uoro:UORO", "unbiased influence of rank one (Tallec & Ollivier 2018)"),
        "kf-rtrl": ("rnnsim.learning.kf_rtrl:KFRTRL", "unbiased influence, Kronecker-factored (Mujika et al. 2018)"),
        "reverse-kf-rtrl": (
            "rnnsim.learning.kf_rtrl:ReverseKFRTRL",
            "kf-rtrl with the roles of units and sources exchanged (Marschall et al. 2020)",
        ),
        "ok": (
            "rnnsim.learning.ok:OK",
            "unbiased influence, an optimal sum of Kronecker products (Benzing et al. 2019)",
        ),
        "kernl": ("rnnsim.learning.kernl:KeRNL", "learned kernels instead of the influence (Roth et al. 2019); rnn"),
        "dni": ("rnnsim.learning.dni:DNI", "synthetic gradients, learned from themselves (Jaderberg et al. 2017); rnn"),
        "max-margin": (
            "rnnsim.learning.max_margin:MaxMargin",
            "trees over segments: the correct tree by a margin above all others (Socher et al. 2011); rnn-tree",
        ),
        "guess": (
            "rnnsim.learning.guessing:Guess",
            "random weights until all sequences are right (Hochreiter & Schmidhuber 1996)",
        ),
    },
    group="rnnsim.rules",
    classes=("rnnsim.learning.interface:Rule",),
)
