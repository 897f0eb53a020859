//! A model server that is asked over TLS, and trusted only if the machine's certificate authorities vouch for it.

use crate::flows;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use testkit::{Answer, Client, Gateway};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const LIST: &str = r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#;
const EVENTS: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"over TLS\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A certificate authority.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A model server by the name of `localhost` whose certificate that authority signed. It says how long the request was.
#[expect(clippy::disallowed_methods, reason = "the test's own server ends with the test")]
async fn model(authority: &CertifiedIssuer<'static, KeyPair>) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while answer(&mut stream).await.is_some() {}
            });
        }
    });
    address
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<()> {
    let mut seen = Vec::new();
    let behind = loop {
        if let Some(at) = seen.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&seen[..behind]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0_usize);
    while seen.len() < behind + length {
        if stream.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
    }
    let said = format!(
        r#"{{"id":"c","object":"chat.completion","created":7,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{length} bytes"}},"finish_reason":"stop"}}]}}"#
    );
    let is_stream = seen.windows(13).any(|part| part == b"\"stream\":true");
    let (kind, rest) = match (head.starts_with("get"), is_stream) {
        (true, _) => ("application/json", format!("content-length: {}\r\n\r\n{LIST}", LIST.len())),
        (false, false) => ("application/json", format!("content-length: {}\r\n\r\n{said}", said.len())),
        (false, true) => {
            let chunk = format!("{:x}\r\n{EVENTS}\r\n0\r\n\r\n", EVENTS.len());
            ("text/event-stream", format!("transfer-encoding: chunked\r\n\r\n{chunk}"))
        }
    };
    stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{rest}").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

async fn chat(proxy: &str, body: &Value) -> Answer {
    let client = reqwest::Client::new();
    Client::send(client.post(format!("{proxy}/v1/chat/completions")).json(body)).await.unwrap()
}

/// A proxy in front of it; dropped with what is beside it, both end.
async fn in_front_of(model: SocketAddr, trusted: &Path) -> (String, impl Sized) {
    let gateway = flows::gateway()
        .env("BACKEND_KIND", "openai")
        .env("BACKEND_BASE_URL", &format!("https://localhost:{}/v1", model.port()))
        .env("SSL_CERT_FILE", trusted.to_str().unwrap());
    let gateway: Gateway = gateway.start().await;
    let (process, client) = gateway.add_proxy("of-tls").await;
    (client.url().to_owned(), (process, gateway))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_with_https_is_asked_over_tls_and_one_that_nobody_vouches_for_is_not_asked_at_all() {
    let (known, unknown) = (authority(), authority());
    let directory = tempfile::tempdir().unwrap();
    let trusted = directory.path().join("authorities.pem");
    std::fs::write(&trusted, known.pem()).unwrap();
    let (proxy, _running) = in_front_of(model(&known).await, &trusted).await;
    for prompt in ["hi".to_owned(), "a long prompt ".repeat(30_000)] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": prompt}]});
        let answer = chat(&proxy, &body).await.good();
        let said = format!("{} bytes", body.to_string().len());
        assert_eq!(answer["choices"][0]["message"]["content"], said.as_str());
    }
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let answer = chat(&proxy, &body).await;
    assert!(answer.text.contains("over TLS") && answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);

    let (proxy, _running) = in_front_of(model(&unknown).await, &trusted).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let answer = chat(&proxy, &body).await;
    let said = answer.json()["error"]["message"].to_string();
    assert!(answer.status == 502 && said.contains("invalid peer certificate"), "{} {said}", answer.status);
}
