"""What the original backend has beside the platform's tables: tables of its own, and more columns in those."""

from cloudpub_models import Component
from original_backend.models import ApiKey, EmailVerificationOtp, FunctionDeployLog, Log

component = Component(
    "original_backend",
    models=(FunctionDeployLog, ApiKey, Log, EmailVerificationOtp),
    migrations="original_backend.migrations",
    after=("cloudpub",),
)
