# make demo        set up, compile the shipped example, run it, draw a picture
# make test        set up and run the tests (what CI runs); test-quick: under 5 minutes; test-full: every matrix whole
# make lint        formatting, rules, types, layers
# make tune        measure the shipped example's kernels anew, where kernels, compiler or meter changed
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest -n 2

.PHONY: setup demo test test-quick test-full lint tune clean
setup: $(READY)

$(READY): pyproject.toml scripts/needs.py
	@$(PYTHON) scripts/needs.py
	@echo "Setting up $(VENV): about 400 MB to download, 2 GB on disk; 3 to 6 minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[compile,dev]"
	@$(BIN)/python -m cpu_backend.warm
	@touch $@

demo: $(READY)
	@rm -rf build/demo
	@$(BIN)/hetero-compile examples/ultranet_4w4a.pt --board zu3eg-rvv -o build/demo
	@$(BIN)/hetero-run build/demo examples/scene_a.png -o build/demo.png
	@echo
	@echo "picture  build/demo.png"
	@echo "report   build/demo/report.html"
	@echo "next     $(BIN)/hetero-run build/demo examples/scene_b.png --on qemu -o build/scene_b.png"

test: $(READY)
	$(PYTEST) -m "not full"

test-quick: $(READY)
	$(PYTEST) -m "not full and not slow"

test-full: $(READY)
	$(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/file_length.py

tune: $(READY)
	$(BIN)/hetero-tune examples/ultranet_4w4a.pt --board zu3eg-rvv
	$(BIN)/hetero-tune examples/ultranet_4w4a.pt --board bananapi-f3

clean:
	rm -rf build $(VENV)
