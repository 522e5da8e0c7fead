"""Fitted models by name and version: `save("income", pipeline, score=0.87)`, `load("income")`, `list()`.

They are rows of dsproj_models in PostgreSQL, so notebooks and jobs see them, and `make backup` holds them. Nothing is pickled:
loading one runs nothing that its writer put in it. `DELETE FROM dsproj_models WHERE name = …` withdraws one.
"""

from dsproj.kernel.models import list_models, load, save

__all__ = ["list", "load", "save"]

list = list_models
