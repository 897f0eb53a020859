//! Starts a server on the directory given as the only argument and holds it: `cargo run --example hold_until_killed -- DIR`.
//!
//! The tests kill this program outright, to see that its server does not outlive it.

use nats_process::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("name a store directory")?;
    let server = Server::builder().store_dir(&dir).start().await?;
    std::fs::write(format!("{dir}/held"), server.url())?;
    std::future::pending::<()>().await;
    Ok(())
}
