//! Services that are real containers of a real engine, on a host that says it has one GPU.

mod faulty;
mod llama;
mod requests;
mod services;
pub(crate) mod world;
