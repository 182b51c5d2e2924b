# Habits. An environment with the test extra must be active: see the README.
.PHONY: check test bench peers clean

check:            ## style, and that the benchmarks can be read
	ruff check .
	ruff format --check .
	asv check --config asv_benchmarks/asv.conf.json -E "existing:$$(command -v python)"

test:             ## the whole suite
	python -m pytest

bench:            ## asv on this checkout, in this environment
	asv run --config asv_benchmarks/asv.conf.json -E "existing:$$(command -v python)" --quick --show-stderr

peers:            ## rnnsim beside PyTorch and JAX; nothing else should run on the machine
	python -m asv_benchmarks.peers

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .asv
