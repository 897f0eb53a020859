//! The users of `nats/accounts.conf` against a real server.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use futures::StreamExt;
use nats_process::Server;
use tokio::sync::mpsc;

const ACCOUNTS: &str = include_str!("../../../nats/accounts.conf");
const DEADLINE: Duration = Duration::from_secs(10);

async fn server() -> Server {
    let passwords = [("", "owner"), ("_TAP", "listener"), ("_AGENT", "agent")];
    let accounts = passwords.into_iter().fold(ACCOUNTS.to_owned(), |text, (user, password)| {
        text.replace(&format!("$GANTRY_NATS{user}_PASSWORD"), password)
    });
    Server::builder().accounts(accounts).start().await.unwrap()
}

async fn client(server: &Server, user: &str, password: &str) -> (Client, mpsc::Receiver<String>) {
    let (sender, refusals) = mpsc::channel(64);
    let options = ConnectOptions::with_user_and_password(user.into(), password.into()).event_callback(move |event| {
        if let Event::ServerError(error) = event {
            sender.try_send(error.to_string().to_lowercase()).expect("fewer refusals than the queue holds");
        }
        std::future::ready(())
    });
    (options.connect(server.url()).await.unwrap(), refusals)
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

#[tokio::test]
async fn a_tap_hears_records_and_nothing_else_and_may_send_nothing() {
    let server = server().await;
    let (owner, _) = client(&server, "gantry", "owner").await;
    let (tap, mut refusals) = client(&server, "tap", "listener").await;

    let subject = "gantry.run.default.main.r1.records";
    let mut records = tap.subscribe(subject).await.unwrap();
    for forbidden in ["gantry.ledger.>", "gantry.inbox.>", "$JS.>", ">"] {
        let _refused = tap.subscribe(forbidden).await.unwrap();
        let refusal = within(forbidden, refusals.recv()).await.unwrap();
        assert!(refusal.contains("permissions violation for subscription"), "{forbidden}: {refusal}");
    }
    // The server has answered what came after the subscription, so it knows the subscription.
    owner.publish(subject, "stored".into()).await.unwrap();
    let heard = within("a record", records.next()).await.unwrap();
    assert_eq!(heard.payload, "stored");

    for forbidden in ["gantry.inbox.0.default.main.r1", subject, "$JS.API.INFO"] {
        tap.publish(forbidden, "forged".into()).await.unwrap();
        let refusal = within(forbidden, refusals.recv()).await.unwrap();
        assert!(refusal.contains("permissions violation for publish"), "{forbidden}: {refusal}");
    }
}

#[tokio::test]
async fn a_server_with_accounts_lets_no_stranger_in() {
    let server = server().await;
    assert!(async_nats::connect(server.url()).await.is_err());
    let wrong = ConnectOptions::with_user_and_password("gantry".into(), "guess".into()).connect(server.url()).await;
    assert!(wrong.is_err());
}
