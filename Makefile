# make          what there is to make
# PAGES=…       pages or folders of pages, for book and execute:  chapters/01_feedforward
# ROWS=…        rows of the benchmarks, for bench; python -m benchmarks --list names them
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/ready
PEERS := .venv-peers
QUICK := not browser and not pages and not network and not slow
PYTEST := $(RUN) -m pytest -n auto --dist loadfile
unexport PYTHONPATH

.PHONY: help book test lab bench execute new serve pdf clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(READY)  ## run and validate the pages, build the site; PAGES=… runs a part
	@$(RUN) -m tools.build $(PAGES)

test: $(READY)  ## every check and test; FAST=1 only the quick ones
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(PYTEST) -m "$(QUICK)" --ignore=tests/site $(if $(FAST),--hypothesis-profile=quick)
ifndef FAST
	$(RUN) -m tools.build
	$(PYTEST) -m "not ($(QUICK))" --ignore=tests/site
	$(PYTEST) tests/site
endif

lab: $(READY)  ## open JupyterLab on the chapters
	$(RUN) -m jupyterlab --LabApp.default_url=/lab/tree/chapters

bench: $(READY) $(PEERS)/ready  ## time the library beside others; ROWS=… some
	@$(RUN) -m benchmarks $(ROWS)

execute: $(READY)  ## run pages and store their text outputs; PAGES=…
	@$(RUN) -m tools.execute $(PAGES)

new: $(READY)  ## lay out a page: PAGE=chapter/page
	@$(RUN) -m tools.new_page $(PAGE)

serve: $(READY)  ## serve the built site on this machine; PORT=8000
	@test -f _build/html/index.html || { echo "No site yet: make book"; exit 1; }
	$(RUN) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

pdf: book  ## one PDF of the book
	@$(RUN) -m tools.pdf

clean:  ## remove what was built, keep .venv
	rm -rf _build .pytest_cache .ruff_cache

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "The book needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "Python's venv is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -r requirements.txt
	$(RUN) -m pip install --no-deps -e .
	@touch $@

$(PEERS)/ready: requirements-peers.txt
	$(PYTHON) -m venv $(PEERS)
	@grep -v '^#' $< | while read peer; do \
	  $(PEERS)/bin/python -m pip install -q "$$peer" || echo "without $$peer"; done
	@touch $@
