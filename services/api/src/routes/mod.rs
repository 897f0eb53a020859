//! Every route, declared once. Adding one is one entry here and one function in the file of its resource.

mod docs;
mod fields;
mod identity;
mod table;

pub use docs::router as docs_router;
pub use table::operations;
