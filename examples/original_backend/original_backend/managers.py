"""The managers of the backend's tables beside the platform's."""

from cloudpub_models import Manager, Managers
from original_backend.models import (
    ApiKey,
    BackendFunction,
    BackendInvocation,
    BackendUser,
    EmailVerificationOtp,
    FunctionDeployLog,
    Log,
)


class BackendManagers(Managers):
    """All managers; ``backend_users`` and the like are for the platform's tables with the backend's columns."""

    function_deploy_logs: Manager[FunctionDeployLog]
    api_keys: Manager[ApiKey]
    logs: Manager[Log]
    email_verification_otps: Manager[EmailVerificationOtp]

    @property
    def backend_users(self) -> Manager[BackendUser]:
        """Of ``users``."""
        return self.for_model(BackendUser)

    @property
    def backend_functions(self) -> Manager[BackendFunction]:
        """Of ``functions``."""
        return self.for_model(BackendFunction)

    @property
    def backend_invocations(self) -> Manager[BackendInvocation]:
        """Of ``function_invocations``."""
        return self.for_model(BackendInvocation)
