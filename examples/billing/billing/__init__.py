"""Billing: API keys and invoices, beside the platform's tables."""

from billing.models import ApiKey, Invoice
from cloudpub_models import Component

component = Component("billing", models=(ApiKey, Invoice), migrations="billing.migrations", after=("cloudpub",))
