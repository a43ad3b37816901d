"""Brokers that let in only who verifies their certificate, or knows a password as well."""

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from tests.apps.agent.tls import certificate

USER, PASSWORD = "alice", "open sesame"


def secured(start_kafka, tmp_path, protocol, **more):
    """Start a broker whose clients come through a listener of this protocol, with a certificate for 127.0.0.1.

    Return it and the file of the authority. Past the listener, at ``direct``, it lets in everybody.
    """
    key, made = certificate(tmp_path, "broker")
    store = tmp_path / "broker.pem"
    store.write_text(key.read_text() + made.read_text())
    properties = {
        "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,PROXIED:{protocol},CONTROLLER:PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": store,
        **more,
    }
    return start_kafka(proxied=True, properties=properties), made


def scrambled(start_kafka, tmp_path):
    """Start a broker that knows USER by PASSWORD (SCRAM-SHA-512); return it and the settings of who wants in."""
    module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    own, authority = secured(
        start_kafka,
        tmp_path,
        "SASL_SSL",
        **{
            "listener.name.proxied.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.proxied.scram-sha-512.sasl.jaas.config": module,
        },
    )
    known = UserScramCredentialUpsertion(
        USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
    )
    admin = AdminClient({"bootstrap.servers": own.direct, "log_level": 0})
    admin.alter_user_scram_credentials([known])[USER].result(60)
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    return own, {
        "TAILRACE_KAFKA__BROKERS": own.bootstrap,
        "TAILRACE_KAFKA__TLS": "true",
        "TAILRACE_KAFKA__CA_FILE": str(authority),
        "TAILRACE_KAFKA__MECHANISM": "SCRAM-SHA-512",
        "TAILRACE_KAFKA__USER": USER,
        "TAILRACE_KAFKA__PASSWORD_FILE": str(password),
    }
