"""Each rule finds what it is for, and leaves alone what only looks like it."""

from collections import Counter

import pytest

from tailrace.pipeline.redact import redactor
from tailrace.pipeline.redact_rules import GROUPS, RULES, luhn
from tailrace.record import Batch, Stream


def masked(text, *names):
    counts = Counter()
    batch = Batch.of(time=[0], observed=[0], level=[0], stream=Stream.of({}), message=[text])
    return redactor(names or GROUPS).apply(batch, counts).array("message")[0].as_py(), counts


FOUND = [
    ("password", "login password=hunter2 ok", "hunter2"),
    ("password", "Password: hunter2", "hunter2"),
    ("password", '{"db_password":"hun ter\\"2","n":1}', 'hun ter\\"2'),
    ("password", r"got {\"passwd\":\"hunter two\"}", "hunter two"),
    ("password", "mysql --password s3cr3t -h x", "s3cr3t"),
    ("password", "密码\uff1ahunter2", "hunter2"),
    ("token", "api_key=abc123&x=1", "abc123"),
    ("token", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
    ("session", "JSESSIONID=38AFE7A8", "38AFE7A8"),
    ("authorization", "Authorization: Bearer abc.def", "abc.def"),
    ("authorization", "authorization: Basic dXNlcjpw", "dXNlcjpw"),
    ("bearer", "sent bearer abcdefghijklmnop", "abcdefghijklmnop"),
    ("cookie", "Set-Cookie: a=b; sid=38afe7", "a=b; sid=38afe7"),
    ("url-password", "postgres://app:s3cr3t@db:5432/x", "s3cr3t"),
    ("url-parameter", "GET /x?a=1&sig=abcdefgh12 200", "abcdefgh12"),
    ("jwt", "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4 x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4"),
    ("aws-key", "id AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
    ("aws-secret", "AKIAIOSFODNN7EXAMPLE " + "wJalr/XUt+" * 4, "wJalr/XUt+" * 4),
    ("github-token", "x ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9),
    ("gitlab-token", "x glpat-" + "a1B2" * 5, "glpat-" + "a1B2" * 5),
    ("slack-token", "x xoxb-1234567890-abc", "xoxb-1234567890-abc"),
    ("stripe-key", "x sk_live_" + "a1B2" * 5, "sk_live_" + "a1B2" * 5),
    ("openai-key", "x sk-proj-" + "a1B2" * 5, "sk-proj-" + "a1B2" * 5),
    ("google-key", "x AIza" + "a1B2-" * 7, "AIza" + "a1B2-" * 7),
    ("azure-key", "x abc8Q~" + "a1B2" * 8, "abc8Q~" + "a1B2" * 8),
    ("alibaba-key", "x LTAI5tABCDEFGHJK y", "LTAI5tABCDEFGHJK"),
    ("tencent-key", "x AKIDz8krbsJ5yKBZQ y", "AKIDz8krbsJ5yKBZQ"),
    ("package-token", "x npm_" + "a1B2" * 9, "npm_" + "a1B2" * 9),
    ("private-key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nAb12\n-----END RSA PRIVATE KEY-----", "MIIE\nAb12"),
    ("private-key-line", "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaGBe3r2Kx4Fs2Ab", "MIIEpAIBAAKC"),
    ("card", "paid 4111 1111 1111 1111 200 ms", "4111 1111 1111"),
    ("card", "200 5500-0055-5555-5559.", "5500-0055-5555"),
    ("email", "from bob.smith@example.com to", "bob.smith"),
    ("email", "/?mail=bob.smith@example.com", "bob.smith"),
    ("cn-id", "id 11010519491231002X ok", "1010519491231002"),
    ("cn-mobile", "手机13812345678", "1234"),
    ("cn-mobile", "+86 138-1234-5678", "1234"),
    ("cn-mobile", r"\xca\xd613812345678", "1234"),
    ("iban", "to DE89370400440532013000 and", "370400440532"),
]


@pytest.mark.parametrize(("rule", "text", "secret"), FOUND, ids=[f"{rule}: {text[:30]}" for rule, text, _ in FOUND])
def test_a_rule_by_its_name_finds_what_it_is_for(rule, text, secret):
    after, counts = masked(text, rule)
    assert secret not in after
    assert counts == {rule: 1}


@pytest.mark.parametrize(
    "text",
    [
        "Invalid password: required",
        "prompt_tokens=123 max_tokens: 4096 token_type=bearer",
        "secretName: none, password=***",
        "bypass=2 compass: 3",
        "export PWD=/srv/x",
        "epoch 1767323045678 1767323045678901234",
        "card 4111111111111112 fails its check digit",
        "ratio 0.4111111111111111 took 13812345678.5",
        "uid=913812345678 110105194912310021",
        "[Peer:Vote@774] Object@1a2b3c",
        "https://user@host/x see a:b@c",
        "d41d8cd98f00b204e9800998ecf8427ed41d8cd98f00b204e9800998ecf8427e",
        "2026-01-02 03:04:05,678 INFO [http-8080-1] c.e.Shop - 10.0.0.1:8080 GET /a?b=c",
    ],
)
def test_what_only_looks_like_a_secret_stays(text):
    assert masked(text) == (text, {})


def test_every_rule_is_tried():
    assert {rule for rule, _, _ in FOUND} == {rule.name for rule in RULES}


@pytest.mark.parametrize(("rule", "text", "secret"), FOUND, ids=[f"{rule}: {text[:30]}" for rule, text, _ in FOUND])
def test_what_was_masked_is_not_masked_again(rule, text, secret):
    after, _ = masked(text)
    assert masked(after) == (after, {})


def test_a_card_keeps_its_last_four_digits_and_a_mobile_number_its_ends():
    assert masked("4111111111111111")[0] == "************1111"
    assert masked("13812345678")[0] == "138****5678"


def test_luhn_knows_a_wrong_digit():
    assert luhn(b"79927398713")
    assert not luhn(b"79927398710")
