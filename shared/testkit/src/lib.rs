//! What tests share: the real program in a directory of its own, a client for it, a model server that follows a script,
//! and the comparison of a run with the golden cases.

mod answer;
mod cli;
mod client;
mod flow;
mod follow;
mod gateway;
pub mod golden;
mod model;
mod process;
mod runs;
mod stream;
mod until;

pub use answer::Answer;
pub use cli::Ran;
pub use client::Client;
pub use flow::{Flow, pack};
pub use follow::Follower;
pub use gateway::{Broker, Builder, Gateway, TOKEN};
pub use model::FakeModel;
pub use process::Process;
pub use stream::{Event, Stream};
pub use until::{SOON, until};
