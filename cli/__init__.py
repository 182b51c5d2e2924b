"""The shell of rnnsim, one command a file. Commands parse, call and print; the mathematics is in the package rnnsim."""
