//! Server-sent events: cutting a byte stream into frames, and judging what a frame says.

pub(crate) mod frame;
mod split;
#[cfg(test)]
mod tests;

pub(crate) use frame::Frame;
pub(crate) use split::Splitter;
