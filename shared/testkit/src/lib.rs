//! What tests share: comparing a run with the golden cases.

pub mod golden;
