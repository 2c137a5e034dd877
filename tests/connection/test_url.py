import contextlib
import time

import pytest

from cloudpub_models.connection.options import Options
from cloudpub_models.connection.url import mask_password, parse_url
from cloudpub_models.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "dialect", "target"),
    [
        ("sqlite:///:memory:", "sqlite", ":memory:"),
        ("sqlite:///cloud.db", "sqlite", "cloud.db"),
        ("sqlite:////var/lib/cloud.db", "sqlite", "/var/lib/cloud.db"),
        ("sqlite:///with%20space.db", "sqlite", "with space.db"),
        ("postgresql://ada@db/cloud", "postgresql", "postgresql://ada@db/cloud"),
        ("postgres://db/cloud", "postgresql", "postgres://db/cloud"),
        (
            "postgresql:///cloud?host=/run/postgresql&target_session_attrs=read-write",
            "postgresql",
            "postgresql:///cloud?host=/run/postgresql&target_session_attrs=read-write",
        ),
    ],
)
def test_a_url_names_a_database(url, dialect, target):
    parsed = parse_url(url)
    assert (parsed.dialect, parsed.target) == (dialect, target)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("mysql://x/y", "mysql"),
        ("cloud.db", "write 'sqlite:///cloud.db'"),
        ("postgresql+psycopg2://ada:secret@db/cloud", "write 'postgresql://ada:***@db/cloud'"),
        ("sqlite://cloud.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///cloud.db?mode=ro", "without parameters"),
        ("postgresql://a\nb/c", "control characters"),
    ],
)
def test_a_malformed_url_says_what_is_expected(url, hint):
    with pytest.raises(ConfigurationError, match="expected") as caught:
        parse_url(url)
    assert hint in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ada:s3cr3t@db/cloud",
        "postgresql://ada:s3cr3t@db1,db2/cloud",
        "postgresql://db/cloud?user=ada&password=s3cr3t",
        "postgresql://db/cloud?password=s3cr3t&user=ada",
        "could not connect to postgresql://ada:s3cr3t@db/cloud: refused",
        *(
            f"postgresql://db/cloud?user=ada&{key}=s3cr3t"
            for key in ("pwd", "passwd", "pass", "PW", "p%61ssword", "token")
        ),
        "postgresql://ada:s3cr3t",
        "postgresql://ada:s3cr3t/cloud",
        "postgresql://ada:s3cr3t?sslmode=require",
        "postgresql://ada%3As3cr3t@db/cloud",
        "host=db user=ada password=s3cr3t",
        "host=db user=ada pwd='s3cr3t'",
    ],
)
def test_no_password_survives_masking(text):
    assert "s3cr3t" not in mask_password(text)
    assert "ada" in mask_password(text)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db:5432,other:5433/cloud",
        "postgresql://[::1]:5432/cloud",
        "postgresql://db/cloud?port=5432",
        "sqlite:////srv/a:b@c.db",
    ],
)
def test_what_is_no_password_is_shown(url):
    assert mask_password(url) == url
    assert parse_url(url).masked == url


def test_an_at_sign_behind_the_host_hides_nothing_before_it():
    masked = parse_url("postgresql://ada:s3cr3t@db/cloud?application_name=a@b").masked
    assert masked == "postgresql://ada:***@db/cloud?application_name=a@b"


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
@pytest.mark.parametrize("piece", ["pass", "[", "@", ":", "?", "&aaaa=", "password=%", "a=", "' ", "%3a", "/"])
@pytest.mark.parametrize("beginning", ["", "postgresql://", "postgresql://a:b@h/x?"])
def test_a_long_url_is_read_in_linear_time(beginning, piece):
    started = time.process_time()
    for read in (parse_url, mask_password):
        with contextlib.suppress(ConfigurationError):
            read(beginning + piece * 20_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("url", ["sqlite:///shop\ud800.db", "postgresql://ada:\udc00@db/cloud"])
def test_a_url_is_valid_unicode(url):
    with pytest.raises(ConfigurationError, match="a lone surrogate"):
        parse_url(url)


def test_a_repr_shows_no_password():
    assert "s3cr3t" not in repr(parse_url("postgresql://ada:s3cr3t@db/cloud"))


def test_an_unknown_option_names_its_neighbour():
    with pytest.raises(ConfigurationError, match="did you mean 'statement_timeout'"):
        Options.from_keywords({"statement_timout": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_connections", 0),
        ("max_connections", 1.5),
        ("max_connections", True),
        ("lock_timeout", -1),
        ("lock_timeout", "5"),
        ("pool_timeout", float("nan")),
        ("pool_timeout", None),
        ("application_name", 7),
        ("slow_query", "1"),
        ("slow_query", -1),
    ],
)
def test_an_option_out_of_range_is_refused(name, value):
    with pytest.raises(ConfigurationError, match=name):
        Options.from_keywords({name: value})
