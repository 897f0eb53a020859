//! What tests share: the real program in a directory of its own, a client for it, a model server that follows a script,
//! the comparison of a run with the golden cases, and a real container engine with images for it.

mod answer;
mod cli;
mod client;
mod engine;
mod flow;
mod follow;
mod gateway;
pub mod golden;
mod host;
mod jobs;
mod model;
mod process;
mod runs;
mod stream;
mod tally;
mod until;

pub use answer::Answer;
pub use cli::Ran;
pub use client::Client;
pub use engine::{Cleanup, Engine, llama_arguments, service_image};
pub use flow::{Flow, pack};
pub use follow::Follower;
pub use gateway::{Broker, Builder, Gateway, TOKEN};
pub use host::{GPU_MB, free_port, open_many_files};
pub use model::FakeModel;
pub use process::Process;
pub use stream::{Event, Stream};
pub use tally::{Tally, Worked};
pub use until::{SOON, until};
