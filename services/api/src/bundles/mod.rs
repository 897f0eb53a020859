//! Installed bundles as the surface shows them, and those that are installed by lying in a directory.

pub mod scan;
pub mod view;
