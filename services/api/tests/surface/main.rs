//! Laws of the HTTP surface over a real broker.

mod bundles;
mod control;
mod edges;
mod runs;
mod streams;
mod world;
