"""The version of rnnsim, in a file that nothing else is imported with."""

VERSION = "0.2.0"
