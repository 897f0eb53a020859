//! nats-process
