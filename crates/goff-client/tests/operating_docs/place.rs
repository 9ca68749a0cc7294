//! What a client finds where it expects a relay proxy.

use goff_client::{EvaluationType, GoFeatureFlagOptions, TlsOptions};
use goff_http::TlsRoots;
use goff_testkit::{Answer, EmbeddedRelay, FaultyServer};
use tokio::task::JoinSet;

use self::tls_gateway::{acceptor, authority, gateway};

#[path = "../tls_gateway/mod.rs"]
mod tls_gateway;

pub(crate) const FLAGS: &str = r#"
new-checkout: {variations: {on: true, off: false}, defaultRule: {variation: on}}
greeting: {variations: {a: hello, b: hi}, defaultRule: {variation: a}}
"#;
pub(crate) const CHANGED_FLAGS: &str = r#"
new-checkout: {variations: {on: true, off: false}, defaultRule: {variation: off}}
greeting: {variations: {a: hello, b: hi}, defaultRule: {variation: a}}
banner: {variations: {a: 1}, defaultRule: {variation: a}}
"#;

/// The URL of what a client finds where it expects a relay proxy, and what must live so long.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) url: String,
    tls: Option<TlsOptions>,
    api_key: Option<&'static str>,
    pub(crate) relay: Option<EmbeddedRelay>,
    _server: Option<FaultyServer>,
    _gateways: JoinSet<()>,
}

impl Place {
    pub(crate) fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    pub(crate) fn relay(relay: EmbeddedRelay) -> Self {
        let url = relay.endpoint();
        Self {
            relay: Some(relay),
            ..Self::at(url)
        }
    }

    pub(crate) fn options(&self, mode: EvaluationType) -> GoFeatureFlagOptions {
        let mut options = GoFeatureFlagOptions::new(&self.url).evaluation_type(mode);
        if let Some(key) = self.api_key {
            options = options.api_key(key);
        }
        if let Some(tls) = &self.tls {
            options = options.tls(tls.clone());
        }
        options
    }
}

pub(crate) fn relay() -> EmbeddedRelay {
    EmbeddedRelay::builder().flags(FLAGS).start().unwrap()
}

async fn behind_tls(is_expired: bool, is_trusted: bool) -> Place {
    let (own, other) = (authority(), authority());
    let relay = relay();
    let mut gateways = JoinSet::new();
    let address = relay.socket_address().unwrap();
    let url = gateway(acceptor(&own, is_expired), address, &mut gateways).await;
    let trusted = if is_trusted { &own } else { &other };
    let tls = TlsOptions::new().roots(TlsRoots::Empty);
    Place {
        tls: Some(tls.certificate_authority(trusted.pem())),
        relay: Some(relay),
        _gateways: gateways,
        ..Place::at(url)
    }
}

pub(crate) async fn faulty(answer: Answer) -> Place {
    let server = FaultyServer::start([answer]).await.unwrap();
    let url = server.url();
    Place {
        _server: Some(server),
        ..Place::at(url)
    }
}

/// The situations in which the client never reaches a relay proxy.
pub(crate) const FAILURES: [&str; 11] = [
    "Wrong key",
    "Wrong port",
    "`https` to a relay proxy without TLS",
    "`http` to a gateway with TLS",
    "Unknown host",
    "Wrong path",
    "Another server behind the URL",
    "A web page behind the URL",
    "A gateway that does not reach the relay proxy",
    "Expired certificate",
    "Certificate of an unknown authority",
];

pub(crate) async fn place(situation: &str) -> Place {
    match situation {
        "Wrong key" => {
            let relay = EmbeddedRelay::builder().flags(FLAGS).api_key("right");
            Place {
                api_key: Some("wrong"),
                ..Place::relay(relay.start().unwrap())
            }
        }
        "Wrong port" => Place::at(FaultyServer::refusing_url().await.unwrap()),
        "`https` to a relay proxy without TLS" => {
            let place = Place::relay(relay());
            Place {
                url: place.url.replace("http:", "https:"),
                tls: Some(
                    TlsOptions::new()
                        .roots(TlsRoots::Empty)
                        .certificate_authority(authority().pem()),
                ),
                ..place
            }
        }
        "`http` to a gateway with TLS" => {
            let place = behind_tls(false, true).await;
            Place {
                url: place.url.replace("https:", "http:"),
                tls: None,
                ..place
            }
        }
        "Unknown host" => Place::at("http://relay.invalid:1031"),
        "Wrong path" => {
            let place = Place::relay(relay());
            Place {
                url: place.url.clone() + "/flags",
                ..place
            }
        }
        "Another server behind the URL" => faulty(Answer::new(501, "not implemented")).await,
        "A web page behind the URL" => faulty(Answer::new(200, "<html>hello</html>")).await,
        "A gateway that does not reach the relay proxy" => {
            faulty(Answer::new(502, "<html>bad gateway</html>")).await
        }
        "Expired certificate" => behind_tls(true, true).await,
        "Certificate of an unknown authority" => behind_tls(false, false).await,
        other => panic!("no situation `{other}`"),
    }
}
