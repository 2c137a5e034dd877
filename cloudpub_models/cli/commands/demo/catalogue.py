"""The names, sentences and habits that the demo's data is drawn from. Nothing happens here."""

from __future__ import annotations

from typing import NamedTuple


class Person(NamedTuple):
    """Somebody on the demo platform; all of them are invented."""

    first_name: str
    last_name: str
    city: str
    country: str


class FunctionKind(NamedTuple):
    """A kind of function, and how its calls behave.

    Attributes:
        name: what its owner calls it.
        language: what it is written in.
        median_ms: how long half of its calls take at most.
        spread: the standard deviation of the logarithm of a call's duration.
        failure_rate: the share of its calls that fail.
        follows_people: whether people call it, who sleep at night, or a clock or a queue.
        messages: what it logs.
        errors: what it fails with.
    """

    name: str
    language: str
    median_ms: int
    spread: float
    failure_rate: float
    follows_people: bool
    messages: tuple[str, ...]
    errors: tuple[str, ...]


PEOPLE = tuple(
    Person(*line.split("|"))
    for line in """\
Amara|Okafor|Lagos|Nigeria
Mateo|Herrera|Bogotá|Colombia
Yuki|Tanabe|Osaka|Japan
Ingrid|Solberg|Bergen|Norway
Priya|Raman|Chennai|India
Tomasz|Zielinski|Gdańsk|Poland
Leila|Haddad|Beirut|Lebanon
Noah|Whitfield|Portland|United States
Chiara|Bellandi|Turin|Italy
Kwame|Asante|Kumasi|Ghana
Sofia|Marques|Porto|Portugal
Jonas|Brandt|Leipzig|Germany
Mei|Lin|Taichung|Taiwan
Fatima|Zahraoui|Rabat|Morocco
Oscar|Lindgren|Uppsala|Sweden
Anya|Morozova|Tallinn|Estonia
Diego|Paredes|Lima|Peru
Hana|Novotna|Brno|Czechia
Ravi|Menon|Kochi|India
Claire|Dubreuil|Nantes|France
Eli|Rosen|Haifa|Israel
Thandi|Mokoena|Durban|South Africa
Liam|Gallagher-Byrne|Cork|Ireland
Aiko|Fujimori|Sapporo|Japan
Bruno|Tavares|Recife|Brazil
Zeynep|Aydin|Izmir|Türkiye
Maya|Sandoval|Monterrey|Mexico
Pavel|Dimitrov|Plovdiv|Bulgaria
""".splitlines()
)

STREETS = ("Mill Lane", "Harbour Street", "Linden Avenue", "Station Road", "Orchard Row", "Old Market")

ORGANIZATIONS = ("Northwind Robotics", "Blue Heron Labs", "Cedar & Stone", "Meridian Freight", "Papaya Analytics")

FUNCTION_KINDS = (
    FunctionKind(
        "checkout-api", "python", 84, 0.55, 0.012, True,
        ("order accepted", "cart validated", "discount applied"),
        ("ValueError: cart is empty", "ConnectionError: payment provider closed the connection"),
    ),
    FunctionKind(
        "resize-images", "python", 410, 0.80, 0.021, True,
        ("wrote 3 sizes", "kept the original, it is small enough"),
        ("OutOfMemoryError: 512 MiB exceeded", "UnidentifiedImageError: cannot identify image file"),
    ),
    FunctionKind(
        "send-mail", "dart", 190, 0.60, 0.008, True,
        ("message queued", "bounce recorded"),
        ("SMTPServerDisconnected: connection unexpectedly closed",),
    ),
    FunctionKind(
        "render-report", "python", 5_200, 0.70, 0.030, False,
        ("report stored", "14 sheets rendered"),
        ("KeyError: 'region'", "OutOfMemoryError: 512 MiB exceeded"),
    ),
    FunctionKind(
        "auth-webhook", "dart", 31, 0.45, 0.005, True,
        ("token refreshed", "session opened"),
        ("PermissionError: signature does not match",),
    ),
    FunctionKind(
        "search-suggest", "dart", 22, 0.50, 0.003, True,
        ("served from cache", "index reloaded"),
        ("TimeoutError: search backend did not answer within 500 ms",),
    ),
    FunctionKind(
        "transcode-video", "python", 9_800, 0.65, 0.045, False,
        ("segment 12 of 12 done", "audio track copied"),
        ("RuntimeError: unsupported codec 'hvc1'", "OutOfMemoryError: 512 MiB exceeded"),
    ),
    FunctionKind(
        "sync-inventory", "python", 640, 0.50, 0.015, False,
        ("312 items updated", "nothing changed"),
        ("HTTPError: 503 from the warehouse", "IntegrityError: duplicate item number"),
    ),
    FunctionKind(
        "score-leads", "python", 260, 0.75, 0.010, True,
        ("model v7 loaded", "batch of 50 scored"),
        ("ValueError: expected 18 features, got 17",),
    ),
    FunctionKind(
        "metrics-rollup", "dart", 130, 0.35, 0.002, False,
        ("rolled up 60 buckets",),
        ("OSError: no space left on device",),
    ),
)  # fmt: skip

INCIDENT_ERRORS = (
    "ImportError: cannot import name 'parse_v2'",
    "TypeError: 'NoneType' object is not subscriptable",
    "ConnectionRefusedError: the new endpoint is not reachable",
)

BUILD_ERRORS = (
    "error: package 'pandas==9.9' not found",
    "error: main.py: invalid syntax (line 41)",
    "error: image exceeds 250 MiB",
)
