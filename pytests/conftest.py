"""What tests share: places of the tree, the real program, a small encoder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE / "pytests"))

from program import Program, build_program  # noqa: E402


@pytest.fixture(scope="session")
def tree() -> Path:
    """The folder of the whole project."""
    return TREE


@pytest.fixture(scope="session")
def program() -> Program:
    """The real program. It is built first if it is not there."""
    return build_program(TREE)
