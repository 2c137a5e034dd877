"""The platform's own component: its eight tables and the migrations that make them."""

from cloudpub_models.component import Component
from cloudpub_models.models import ALL_MODELS

component = Component("cloudpub", models=ALL_MODELS, migrations="cloudpub_models.migrations")
