"""A worker that sends invoices: ``python -m billing.worker``; it may run several times at once."""

from billing import component
from billing.managers import managers
from billing.models import InvoiceStatus
from cloudpub_models import database


def send_open_invoices() -> int:
    """Send each open invoice once, and return how many there were."""
    sent = 0
    while claimed := managers.invoices.claim({"status": InvoiceStatus.OPEN}, {"status": InvoiceStatus.SENT}, limit=10):
        keys = managers.api_keys.find_all({"id": [invoice.api_key_id for invoice in claimed]}, include=("user",))
        receivers = {key.id: key.user.email for key in keys}
        for invoice in claimed:
            print(f"{invoice.number} to {receivers[invoice.api_key_id]}: {invoice.cents / 100:.2f}")
        sent += len(claimed)
    return sent


if __name__ == "__main__":
    database.initialize(components=[component])  # $CLOUDPUB_DATABASE_URL
    print(f"{send_open_invoices()} sent")
    database.close()
